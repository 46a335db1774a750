"""LesionRecognizer: one report, however a picture arrives."""

from __future__ import annotations

import json
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, list_data_collate
from PIL import Image
from radiograph_files import dicom_dataset, marker, save_dicom, write_dicom
from tiny_bundle import INPUT_SIZE, tiny_description, tiny_parameters, write_tiny_bundle

from monai_pneumonia.errors import BadInputError, ModelFaultError, PneumoniaError, RejectedImageError, UnreadableImageError, UsageError
from monai_pneumonia.inference import Calibration, LesionRecognizer, LesionReport
from monai_pneumonia.inference.recognizer import UNCALIBRATED, normalized_entropy
from monai_pneumonia.inference.report import UNSUPERVISED
from monai_pneumonia.radiograph import read_radiograph
from monai_pneumonia.transforms.network_input import network_input, to_original_grid


def assert_same(first: LesionReport, second: LesionReport, tolerance: float = 1e-6) -> None:
    assert list(first.probabilities) == list(second.probabilities)
    assert list(first.probabilities.values()) == pytest.approx(list(second.probabilities.values()), abs=tolerance)
    assert first.p_pneumonia == pytest.approx(second.p_pneumonia, abs=tolerance)
    assert first.decision == second.decision
    np.testing.assert_allclose(first.attention_map, second.attention_map, rtol=0, atol=10 * tolerance)
    assert [region.box for region in first.lesions] == [region.box for region in second.lesions]


def test_a_report_is_what_the_network_says(recognizer: LesionRecognizer, picture_files: list[Path]) -> None:
    report = recognizer(picture_files[0])
    inputs = network_input(picture_files[0], INPUT_SIZE, "stretch")
    with torch.no_grad():
        output = recognizer.network.explain(inputs.as_tensor()[None])
    expected = (output.logits[0].double() / 1.5).softmax(dim=0)
    assert list(report.probabilities) == ["normal", "bacterial", "viral", "covid19"]
    assert list(report.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert report.p_pneumonia == pytest.approx(1 - expected[0].item(), abs=1e-6)
    assert sum(report.probabilities.values()) == pytest.approx(1.0)
    enlarged = torch.nn.functional.interpolate(output.attention, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(report.attention_map, to_original_grid(enlarged[0], inputs).numpy(), atol=1e-5)
    assert report.attention_map.dtype == np.float32
    assert report.attention_map.shape == (70, 150)
    assert report.uncertainty == pytest.approx(-(expected * expected.log()).sum().item() / np.log(4), abs=1e-6)
    assert report.notice == "Research use only, not for diagnosis."
    assert (report.model_version, report.weights_sha256) == ("0.1.0", recognizer.weights_sha256)
    assert len(report.weights_sha256) == 64


def test_decision_and_lesions_follow_the_calibration(recognizer: LesionRecognizer, picture_files: list[Path]) -> None:
    reports = recognizer.recognize_batch(picture_files)
    assert {report.decision for report in reports} == {"pneumonia", "no_pneumonia"}
    for report in reports:
        assert report.decision == ("pneumonia" if report.p_pneumonia >= 0.5 else "no_pneumonia")
        if report.decision == "no_pneumonia":
            assert report.lesions == ()
            assert not report.lesion_mask.any()
            continue
        above = report.attention_map >= 0.6
        assert not (report.lesion_mask & ~above).any()
        # What is missing are the specks.
        assert (above & ~report.lesion_mask).sum() < 0.01 * above.size
        assert sum(region.area_pixels for region in report.lesions) == report.lesion_mask.sum()
        for region in report.lesions:
            assert report.region_mask(region).sum() == region.area_pixels


def test_the_operating_point_itself_is_pneumonia(picture_files: list[Path]) -> None:
    description = tiny_description()
    network = description.build_network()
    network.load_state_dict(tiny_parameters(description))
    p_pneumonia = LesionRecognizer(network, description, device="cpu")(picture_files[1]).p_pneumonia
    for operating_point, decision in ((p_pneumonia, "pneumonia"), (np.nextafter(p_pneumonia, 2), "no_pneumonia")):
        recognizer = LesionRecognizer(network, description, Calibration(operating_point=float(operating_point)), device="cpu")
        assert recognizer(picture_files[1]).decision == decision


def test_all_forms_give_the_same_whatever_the_batch(recognizer: LesionRecognizer, picture_files: list[Path]) -> None:
    alone = [recognizer(file) for file in picture_files]
    for batch_size in (1, 4, 11):
        streamed = list(recognizer.stream(picture_files, batch_size))
        assert [file for file, _ in streamed] == picture_files
        for (_, report), single in zip(streamed, alone, strict=True):
            assert isinstance(report, LesionReport)
            assert_same(report, single)
    loader = DataLoader(
        Dataset([{"image": str(file)} for file in picture_files], recognizer.preprocessing), batch_size=3, collate_fn=list_data_collate
    )
    collated = [report for batch in loader for report in recognizer.recognize_inputs(batch["image"])]
    for report, single in zip(collated, alone, strict=True):
        assert_same(report, single)
        assert report.warnings == single.warnings


def test_a_loaded_batch_keeps_spacing_and_warnings(recognizer: LesionRecognizer, tmp_path: Path) -> None:
    files = [
        write_dicom(tmp_path / "spaced.dcm", marker(80, 80), PixelSpacing=[0.2, 0.4]),
        write_dicom(tmp_path / "plain.dcm", marker(80, 80)),
    ]
    loader = DataLoader(Dataset([{"image": str(file)} for file in files], recognizer.preprocessing), batch_size=2)
    (batch,) = list(loader)
    spaced, plain = recognizer.recognize_inputs(batch["image"])
    assert_same(spaced, plain)
    assert [recognizer(file).warnings for file in files] == [spaced.warnings, plain.warnings]
    assert any("window" in warning for warning in spaced.warnings)
    for report, area in ((spaced, 0.08), (plain, None)):
        for region in report.lesions:
            assert region.area_mm2 == (None if area is None else pytest.approx(region.area_pixels * area))


def test_a_radiograph_that_was_read_already_gives_what_its_file_gives(recognizer: LesionRecognizer, tmp_path: Path) -> None:
    file = write_dicom(tmp_path / "a.dcm", marker(), photometric="MONOCHROME1", PixelSpacing=["0.2", "0.4"])
    radiograph = read_radiograph(file)
    before = radiograph.pixels.copy()
    found, expected = recognizer(radiograph), recognizer(file)
    assert found.to_dict() == expected.to_dict()
    assert np.array_equal(found.attention_map, expected.attention_map)
    assert np.array_equal(radiograph.pixels, before)


def test_formats_arrive_alike(recognizer: LesionRecognizer, tmp_path: Path) -> None:
    picture = marker(120, 90)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    reports = [
        recognizer(tmp_path / "picture.png"),
        recognizer(str(tmp_path / "picture.png")),
        recognizer(write_dicom(tmp_path / "picture.dcm", picture)),
        recognizer(write_dicom(tmp_path / "inverted.dcm", 255 - picture, photometric="MONOCHROME1")),
        recognizer(picture),
        recognizer(torch.from_numpy(picture)),
        recognizer(picture.astype(np.float32) / 255),
    ]
    for report in reports[1:]:
        assert_same(report, reports[0], tolerance=1e-5)


def test_stretch_and_pad_put_the_map_on_the_pictures_own_grid(tmp_path: Path) -> None:
    for mode in ("stretch", "pad"):
        description = tiny_description(resize_mode=mode)
        network = description.build_network()
        network.load_state_dict(tiny_parameters(description))
        report = LesionRecognizer(network, description, device="cpu")(marker(50, 170))
        assert report.attention_map.shape == (50, 170)


def test_a_bad_picture_yields_its_error_and_the_others_their_reports(
    recognizer: LesionRecognizer, picture_files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(picture_files[0].read_bytes()[:200])
    ct = write_dicom(tmp_path / "ct.dcm", marker(), SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")
    pictures = [
        picture_files[0],
        tmp_path / "text.txt",
        tmp_path / "cut.png",
        picture_files[1],
        ct,
        tmp_path / "none.png",
        picture_files[2],
    ]
    for batch_size in (1, 3, 8):
        outcomes = list(recognizer.stream(pictures, batch_size))
        assert [picture for picture, _ in outcomes] == pictures
        kinds = [type(outcome) for _, outcome in outcomes]
        assert kinds == [
            *(LesionReport, UnreadableImageError, UnreadableImageError, LesionReport),
            *(RejectedImageError, UnreadableImageError, LesionReport),
        ]
        for picture, outcome in outcomes:
            if isinstance(outcome, PneumoniaError):
                assert str(picture) in str(outcome)
            else:
                assert_same(outcome, recognizer(picture))
    with pytest.raises(UnreadableImageError, match=r"text\.txt"):
        recognizer.recognize_batch(pictures)


def test_a_decoders_unforeseen_fault_stays_with_its_file(recognizer: LesionRecognizer, picture_files: list[Path], monkeypatch) -> None:
    preprocessing = recognizer.preprocessing

    def explode_once(item):
        if item["image"] == picture_files[1]:
            raise ZeroDivisionError("deep inside, of patient Secret^Name")
        return preprocessing(item)

    monkeypatch.setattr(recognizer, "preprocessing", explode_once)
    outcomes = [outcome for _, outcome in recognizer.stream(picture_files[:3])]
    assert isinstance(outcomes[1], UnreadableImageError)
    assert "ZeroDivisionError" in str(outcomes[1])
    assert "Secret" not in str(outcomes[1])
    assert isinstance(outcomes[2], LesionReport)


def test_streaming_reads_only_what_it_needs(recognizer: LesionRecognizer) -> None:
    alive: list[int] = []
    made = most_alive = 0

    def endless():
        nonlocal made, most_alive
        while True:
            picture = np.random.default_rng(made).random((40, 40))
            alive.append(made)
            weakref.finalize(picture, alive.remove, made)
            made, most_alive = made + 1, max(most_alive, len(alive))
            yield picture
            del picture

    stream = recognizer.stream(endless(), batch_size=4)
    assert made == 0
    next(stream)
    assert made == 4
    for _ in range(30):
        next(stream)
    assert made == 32
    # A batch, and of the batch before it the picture that was yielded last.
    assert most_alive <= 5


def test_streaming_keeps_no_report(recognizer: LesionRecognizer) -> None:
    alive: list[int] = []
    most_alive = 0
    for position, (_, report) in enumerate(recognizer.stream((marker(40, 40) for _ in range(12)), batch_size=4)):
        alive.append(position)
        weakref.finalize(report, alive.remove, position)
        most_alive = max(most_alive, len(alive))
    # The report in hand, and the one before it while the loop takes the next.
    assert most_alive <= 2


def test_streaming_needs_no_more_memory_for_more_pictures(recognizer: LesionRecognizer, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.fromarray(marker(1000, 1000)).save(large)

    def peak(count: int) -> int:
        tracemalloc.start()
        for _, report in recognizer.stream([large] * count, batch_size=2):
            assert isinstance(report, LesionReport)
        (_, most), _ = tracemalloc.get_traced_memory(), tracemalloc.stop()
        return most

    peak(2)
    few, many = peak(2), peak(10)
    # Eight more reports would be eight label maps of 2 MB, were they kept.
    assert many < few + 4_000_000


def test_warnings_tell_what_is_odd(recognizer: LesionRecognizer, tiny_bundle: Path, tmp_path: Path) -> None:
    assert recognizer(marker(200, 180)).warnings == (UNSUPERVISED,)
    assert any("2.5 times as wide" in warning for warning in recognizer(marker(100, 250)).warnings)
    assert any("2.5 times as high" in warning for warning in recognizer(marker(250, 100)).warnings)
    assert any("30 x 40 pixels: enlarged" in warning for warning in recognizer(marker(30, 40)).warnings)
    uncalibrated = LesionRecognizer.from_bundle(write_tiny_bundle(tmp_path / "bundle"), "cpu")
    assert uncalibrated(marker(200, 180)).warnings == (UNCALIBRATED, UNSUPERVISED)


def test_a_picture_of_one_grey_is_rejected_alone(recognizer: LesionRecognizer, tmp_path: Path) -> None:
    with pytest.raises(RejectedImageError, match="the picture: all pixels have the same value"):
        recognizer(np.zeros((80, 80)))
    for name, values in (("black.png", np.zeros((80, 80))), ("good.png", 255 * marker())):
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / name)
    outcomes = [outcome for _, outcome in recognizer.stream([tmp_path / "black.png", tmp_path / "good.png"])]
    assert isinstance(outcomes[0], RejectedImageError)
    assert "black.png: all pixels have the same value" in str(outcomes[0])
    assert isinstance(outcomes[1], LesionReport)


def test_no_patient_reaches_a_report(recognizer: LesionRecognizer, tmp_path: Path) -> None:
    dataset = dicom_dataset(marker(), PatientName="Secret^Name", PatientID="secret-id", PatientBirthDate="19700101")
    report = recognizer(save_dicom(dataset, tmp_path / "picture.dcm"))
    text = json.dumps(report.to_dict()).lower()
    assert "secret" not in text
    assert "1970" not in text


def test_a_report_as_json(recognizer: LesionRecognizer, picture_files: list[Path]) -> None:
    report = next(report for report in recognizer.recognize_batch(picture_files) if report.lesions)
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["size"] == list(report.attention_map.shape)
    assert values["notice"] == "Research use only, not for diagnosis."
    assert values["probabilities"] == dict(report.probabilities)
    assert values["lesions"][0]["box"] == list(report.lesions[0].box)
    assert set(values["lesions"][0]) == {"number", "box", "area_pixels", "area_mm2", "mean_attention", "peak_attention"}


@pytest.mark.parametrize("classes", [("normal", "pneumonia"), ("healthy", "tuberculosis", "pneumonia"), ("covid19", "normal")])
def test_other_classes_are_no_exception(classes: tuple[str, ...]) -> None:
    description = tiny_description(classes=classes)
    network = description.build_network()
    network.load_state_dict(tiny_parameters(description))
    report = LesionRecognizer(network, description, device="cpu")(marker())
    negative = "normal" if "normal" in classes else classes[0]
    assert tuple(report.probabilities) == classes
    assert report.p_pneumonia == pytest.approx(1 - report.probabilities[negative])


def test_sigmoid_outputs_are_scaled_to_one() -> None:
    description = tiny_description(output_activation="sigmoid")
    network = description.build_network()
    network.load_state_dict(tiny_parameters(description))
    recognizer = LesionRecognizer(network, description, Calibration(temperature=2.0), device="cpu")
    with torch.no_grad():
        present = (network(recognizer.prepare(marker()).as_tensor()[None])[0].double() / 2).sigmoid()
    report = recognizer(marker())
    assert list(report.probabilities.values()) == pytest.approx((present / present.sum()).tolist(), abs=1e-6)


# Two of four alike: log 2 / log 4 = 1/2.
@pytest.mark.parametrize(
    ("probabilities", "expected"), [([1, 0, 0, 0], 0.0), ([0.25] * 4, 1.0), ([0.5, 0.5, 0, 0], 0.5), ([0.5, 0.5], 1.0), ([1.0], 0.0)]
)
def test_normalized_entropy(probabilities: list[float], expected: float) -> None:
    assert normalized_entropy(np.array(probabilities, dtype=np.float64)) == pytest.approx(expected)


def test_a_network_that_gives_no_numbers_is_a_model_fault() -> None:
    description = tiny_description()
    network = description.build_network()
    with torch.no_grad():
        network.head.bias.fill_(float("nan"))
    with pytest.raises(ModelFaultError, match="not finite"):
        LesionRecognizer(network, description, device="cpu")(marker())


def test_the_callers_gradients_and_mode_do_not_matter(tiny_bundle: Path) -> None:
    recognizer = LesionRecognizer.from_bundle(tiny_bundle, "cpu")
    assert not recognizer.network.training
    assert not any(parameter.requires_grad for parameter in recognizer.network.parameters())


def test_wrong_arguments(recognizer: LesionRecognizer, tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="device 'abacus'"):
        LesionRecognizer.from_bundle(tiny_bundle, device="abacus")
    with pytest.raises(UsageError, match="batch_size is 0"):
        next(recognizer.stream([marker()], batch_size=0))
    with pytest.raises(BadInputError, match="shape"):
        recognizer(np.zeros((4, 5, 6)))
    assert recognizer.recognize_batch([]) == []
    assert recognizer.recognize_inputs([]) == []
    assert list(recognizer.stream([])) == []
