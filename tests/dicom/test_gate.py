"""The gate: what passes, what is refused and why, and that it never repeats what a file says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lesion_reports import ALGORITHM, lesion_report, two_spots, write_chest
from pydicom.dataset import Dataset
from radiograph_files import marker

from monai_pneumonia.dicom import RefusalReason, RefusedImageError, check_image, gate, read_header, refusal_of, write_results
from monai_pneumonia.errors import RejectedImageError, UnreadableImageError

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def image(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in {"Modality": "CR", "SOPClassUID": SECONDARY_CAPTURE, **tags}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def coded(*values: str) -> list[Dataset]:
    items = [Dataset() for _ in values]
    for item, value in zip(items, values, strict=True):
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "secret meaning"
    return items


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"Modality": "DX", "ViewPosition": "AP", "PresentationIntentType": "FOR PRESENTATION"},
        {"Modality": "RG", "ViewPosition": "PA", "BodyPartExamined": "CHEST"},
        {"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"},
        {"ViewPosition": "", "BodyPartExamined": ""},
        {"ViewPosition": "AP SUPINE", "BodyPartExamined": "PORT CHEST"},
        {"BodyPartExamined": "THORAX"},
        {"NumberOfFrames": "1"},
        {"PatientOrientation": ["L", "F"]},
        {"PatientOrientation": ["LA", "FP"]},
        {"PatientOrientation": ["R", "H"]},
        {"PatientOrientation": ["", "F"]},
        {"PatientOrientation": ""},
        {"ViewCodeSequence": coded("399348003")},
        {"ViewCodeSequence": coded("R-40888"), "AnatomicRegionSequence": coded("T-D3000")},
        {"AnatomicRegionSequence": coded("51185008")},
        {"ViewCodeSequence": [], "AnatomicRegionSequence": []},
        {"Manufacturer": "monai-pneumonia", "ManufacturerModelName": "phantoms"},
    ],
)
def test_frontal_chest_x_rays_pass(tags: dict[str, Any]) -> None:
    assert refusal_of(image(**tags)) is None


@pytest.mark.parametrize(
    ("tags", "reason", "said"),
    [
        ({"Modality": "CT", "SOPClassUID": CT_IMAGE}, RefusalReason.MODALITY, "modality CT (CT Image Storage)"),
        ({"Modality": "MG"}, RefusalReason.MODALITY, "modality MG"),
        ({"Modality": "SECRET"}, RefusalReason.MODALITY, "modality of no known kind"),
        ({"Modality": None}, RefusalReason.MODALITY, "no modality (Secondary Capture Image Storage)"),
        ({"Modality": "DX", "SOPClassUID": DX_FOR_PROCESSING}, RefusalReason.FOR_PROCESSING, "raw detector data"),
        ({"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"}, RefusalReason.FOR_PROCESSING, "raw detector data"),
        ({"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.3.1"}, RefusalReason.FOR_PROCESSING, "raw detector data"),
        ({"Modality": "DX", "PresentationIntentType": "FOR PROCESSING"}, RefusalReason.FOR_PROCESSING, "raw detector data"),
        ({"NumberOfFrames": "12"}, RefusalReason.FRAMES, "12 frames"),
        ({"ViewPosition": "LL"}, RefusalReason.VIEW, "ViewPosition is LL"),
        ({"ViewPosition": "LATERAL"}, RefusalReason.VIEW, "ViewPosition is LATERAL"),
        ({"ViewPosition": "PA LLD"}, RefusalReason.VIEW, "ViewPosition is LLD PA"),
        ({"ViewPosition": "secret"}, RefusalReason.VIEW, "ViewPosition is of no known kind"),
        ({"ViewPosition": ["PA", "LL"]}, RefusalReason.VIEW, "ViewPosition is of no known kind"),
        ({"ViewCodeSequence": coded("399173006")}, RefusalReason.VIEW, "ViewCodeSequence names no frontal view"),
        ({"ViewPosition": "PA", "ViewCodeSequence": coded("399067008")}, RefusalReason.VIEW, "ViewCodeSequence"),
        ({"PatientOrientation": ["A", "F"]}, RefusalReason.VIEW, "PatientOrientation is that of a lateral"),
        ({"PatientOrientation": ["p ", "F"], "ViewPosition": "PA"}, RefusalReason.VIEW, "PatientOrientation"),
        ({"PatientOrientation": ["L", "P"]}, RefusalReason.VIEW, "PatientOrientation"),
        ({"PatientOrientation": "A"}, RefusalReason.VIEW, "PatientOrientation"),
        ({"BodyPartExamined": "HAND"}, RefusalReason.BODY_PART, "BodyPartExamined is another than CHEST"),
        ({"BodyPartExamined": "CHESTABDOMEN"}, RefusalReason.BODY_PART, "BodyPartExamined"),
        ({"BodyPartExamined": "CHEST SPINE"}, RefusalReason.BODY_PART, "BodyPartExamined"),
        ({"AnatomicRegionSequence": coded("85562004")}, RefusalReason.BODY_PART, "AnatomicRegionSequence"),
    ],
)
def test_others_are_refused_with_a_reason(tags: dict[str, Any], reason: RefusalReason, said: str) -> None:
    refusal = refusal_of(image(**tags))
    assert refusal is not None
    assert refusal.reason is reason
    assert said in refusal.sentence
    assert "give" in refusal.sentence
    assert "secret" not in refusal.sentence.lower()


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20).map(lambda text: f"{text}NAME{text}")


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["Modality", "SOPClassUID", "Manufacturer", "NumberOfFrames", "ViewPosition", "BodyPartExamined"]),
        st.one_of(VALUES, st.lists(VALUES, max_size=3)),
        min_size=1,
    )
)
@pytest.mark.filterwarnings("ignore")
def test_no_value_is_ever_repeated(values: dict[str, Any]) -> None:
    dataset = image()
    for keyword, value in values.items():
        dataset.add_new(keyword, "LO", value)
    refusal = refusal_of(dataset)
    assert refusal is None or "NAME" not in refusal.sentence


def test_damaged_sequences_are_refused() -> None:
    dataset = image()
    dataset.add_new("ViewCodeSequence", "LO", "secret")
    refusal = refusal_of(dataset)
    assert refusal is not None
    assert refusal.reason is RefusalReason.DAMAGED
    assert "secret" not in refusal.sentence


def test_own_results_are_refused(tmp_path: Path, chest_file: Path) -> None:
    written = write_results(chest_file, lesion_report(two_spots(60, 44)), ALGORITHM, tmp_path)
    assert set(written.files) == {"sr", "seg", "sc"}
    for file in written.files.values():
        with pytest.raises(RefusedImageError, match="a result of this application itself") as caught:
            check_image(file)
        assert caught.value.refusal.reason is RefusalReason.OWN_RESULT
        assert isinstance(caught.value, RejectedImageError)


def test_files_pass_with_and_without_preamble(tmp_path: Path, chest_file: Path) -> None:
    check_image(chest_file)
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(chest_file.read_bytes()[132:])
    check_image(bare)


def test_a_lateral_file_is_refused_by_name(tmp_path: Path) -> None:
    file = write_chest(tmp_path / "lateral.dcm", marker(), ViewPosition="LL")
    with pytest.raises(RefusedImageError, match=r"lateral\.dcm: ViewPosition is LL"):
        check_image(file)


@pytest.mark.parametrize("content", [b"", b"just text, no picture", b"\0" * 200, np.random.default_rng(0).bytes(4000)])
def test_what_is_no_dicom_file_is_unreadable(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.dcm"
    file.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"file\.dcm"):
        check_image(file)


def test_too_little_memory_is_no_damage(chest_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(gate, "read_tags", too_large)
    for read in (check_image, read_header):
        with pytest.raises(MemoryError):
            read(chest_file)
    monkeypatch.setattr(gate, "_view", too_large)
    with pytest.raises(MemoryError):
        refusal_of(image())


def test_missing_files_and_folders_are_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.dcm", tmp_path):
        with pytest.raises(UnreadableImageError, match="cannot be read"):
            check_image(path)


@settings(max_examples=80, deadline=None)
@given(position=st.integers(0, 700), value=st.binary(min_size=1, max_size=8), cut=st.integers(0, 700))
def test_damaged_files_give_one_of_our_errors_and_no_name(
    tmp_path_factory: pytest.TempPathFactory, chest_file: Path, position: int, value: bytes, cut: int
) -> None:
    data = bytearray(chest_file.read_bytes())
    data[position : position + len(value)] = value
    file = tmp_path_factory.mktemp("damaged") / "damaged.dcm"
    file.write_bytes(bytes(data[: len(data) - cut]))
    said = ""
    try:
        check_image(file)
    except (UnreadableImageError, RefusedImageError) as error:
        said = str(error)
    assert "secret" not in said.lower()


def test_phantoms_pass(phantom_dicom_folder: Path) -> None:
    for file in (phantom_dicom_folder / "images").glob("*.dcm"):
        check_image(file)


@pytest.mark.realdata
def test_real_files_pass(real_data: Path) -> None:
    files = sorted((real_data / "cxr-dicom").glob("*.dcm"))
    assert len(files) == 9
    for file in files:
        check_image(file)


def test_the_gate_runs_without_highdicom_and_writing_says_what_is_missing(chest_file: Path) -> None:
    """Who only sorts files need not install the extra."""
    program = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "highdicom":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
from monai_pneumonia.dicom import check_image, read_header, write_results
check_image(sys.argv[1])
print(read_header(sys.argv[1]).Rows)
try:
    write_results(sys.argv[1], None, None, "nowhere")
except Exception as error:
    print(type(error).__name__, error)
"""
    run = subprocess.run([sys.executable, "-c", program, str(chest_file)], capture_output=True, text=True, timeout=120, check=True)
    rows, message = run.stdout.splitlines()
    assert rows == "60"
    assert message == "UsageError DICOM results need highdicom, which is not installed: pip install 'monai-pneumonia[dicom]'"
