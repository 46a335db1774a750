"""One picture: the same from the same specification, a chest the right way round, lesions where and as they should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_pneumonia.data.phantoms import HOSPITALS, Phantom, PhantomSpec, generate_phantom
from monai_pneumonia.data.phantoms.lesions import outline_of
from monai_pneumonia.errors import UsageError

SIZE = 96
FINDINGS = ("bacterial", "viral", "covid19")


def draw(**values: object) -> Phantom:
    return generate_phantom(replace(PhantomSpec(size=SIZE), **values))  # type: ignore[arg-type]


def middle_column(phantom: Phantom) -> float:
    """Where the chest's middle is: half way between the outermost lung columns."""
    columns = np.flatnonzero(phantom.lungs.any(axis=0))
    return float(columns[0] + columns[-1]) / 2


def sides(phantom: Phantom) -> tuple[int, int]:
    """Outlined pixels in the picture's left half (the patient's right) and in its right half."""
    column = round(middle_column(phantom))
    return int(phantom.outline[:, :column].sum()), int(phantom.outline[:, column:].sum())


@pytest.mark.parametrize("finding", ["normal", *FINDINGS])
def test_same_specification_same_picture(finding: str) -> None:
    first, second = draw(finding=finding, patient=3), draw(finding=finding, patient=3)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.outline.tobytes() == second.outline.tobytes()
    assert first.boxes == second.boxes


@pytest.mark.parametrize("change", [{"seed": 1}, {"patient": 1}, {"visit": 1}, {"age": 4.0}, {"view": "AP"}, {"hospital": HOSPITALS[3]}])
def test_everything_in_the_specification_matters(change: dict[str, object]) -> None:
    first, second = draw(), draw(**change)
    assert first.pixels.shape != second.pixels.shape or np.abs(first.pixels - second.pixels).mean() > 0.005


@pytest.mark.parametrize("hospital", HOSPITALS, ids=lambda hospital: hospital.name)
def test_pictures_are_in_range_and_show_contrast(hospital: object) -> None:
    phantom = draw(finding="viral", hospital=hospital, view="AP")
    assert phantom.pixels.dtype == np.float32
    assert phantom.outline.dtype == phantom.lungs.dtype == bool
    assert phantom.pixels.shape == phantom.outline.shape == phantom.lungs.shape == phantom.attenuation.shape
    assert phantom.pixels.min() >= 0
    assert phantom.pixels.max() <= 1
    assert phantom.pixels.std() > 0.1
    lungs, rest = phantom.pixels[phantom.lungs], phantom.pixels[SIZE // 2 :, phantom.lungs.any(axis=0)]
    assert np.median(lungs) < np.median(rest)


def test_long_side_is_the_size_times_the_resolution() -> None:
    shapes = {hospital.name: draw(hospital=hospital).pixels.shape for hospital in HOSPITALS}
    assert shapes == {"hospital_a": (96, 83), "hospital_b": (96, 96), "hospital_c": (77, 77), "hospital_d": (86, 96)}


def test_another_size_shows_the_same_patient() -> None:
    small, large = draw(finding="bacterial", patient=2, size=64), draw(finding="bacterial", patient=2, size=128)
    shrunk = large.pixels[:128, :110].reshape(64, 2, 55, 2).mean(axis=(1, 3))
    assert np.corrcoef(small.pixels.ravel(), shrunk.ravel())[0, 1] > 0.97
    assert small.outline.mean() == pytest.approx(large.outline.mean(), rel=0.2)


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("patient", range(4))
def test_lesion_changes_nothing_outside_of_its_outline(finding: str, patient: int) -> None:
    hospital = HOSPITALS[patient]
    ill = draw(finding=finding, patient=patient, hospital=hospital, view="AP")
    healthy = draw(finding=finding, patient=patient, hospital=hospital, view="AP", lesion_contrast=0.0)
    difference = np.abs(ill.pixels - healthy.pixels)
    assert difference[~ill.outline].max() == 0
    assert (ill.attenuation[~ill.outline] == 0).all()
    assert (difference[ill.outline] > 0).mean() > 0.8
    assert (ill.pixels - healthy.pixels)[ill.outline].mean() > 0.01
    assert not healthy.outline.any()
    assert (ill.lungs == healthy.lungs).all()


def test_normal_patients_have_no_lesion() -> None:
    phantom = draw()
    assert not phantom.outline.any()
    assert phantom.boxes == ()
    assert not phantom.attenuation.any()


@pytest.mark.parametrize("finding", FINDINGS)
def test_boxes_hold_the_outline_and_touch_it(finding: str) -> None:
    phantom = draw(finding=finding, patient=5, hospital=HOSPITALS[3])
    held = np.zeros_like(phantom.outline)
    for x, y, width, height in phantom.boxes:
        part = phantom.outline[int(y) : int(y + height), int(x) : int(x + width)]
        assert part.shape == (height, width)
        assert part[0].any()
        assert part[-1].any()
        assert part[:, 0].any()
        assert part[:, -1].any()
        held[int(y) : int(y + height), int(x) : int(x + width)] = True
    assert phantom.boxes
    assert held[phantom.outline].all()


def test_consolidation_is_in_one_lung_and_small() -> None:
    for patient in range(10):
        phantom = draw(finding="bacterial", patient=patient)
        left, right = sides(phantom)
        assert max(left, right) > 0.97 * (left + right)
        assert phantom.outline.sum() < 0.5 * phantom.lungs.sum()


def test_consolidation_is_denser_than_ground_glass_and_interstitial_marking() -> None:
    def density(finding: str) -> float:
        phantoms = [draw(finding=finding, patient=patient) for patient in range(6)]
        return float(np.mean([np.median(phantom.attenuation[phantom.outline]) for phantom in phantoms]))

    assert density("bacterial") > 1.5 * density("covid19") > 1.5 * density("viral")


def test_interstitial_marking_is_in_both_lungs_and_wide() -> None:
    for patient in range(10):
        phantom = draw(finding="viral", patient=patient)
        left, right = sides(phantom)
        assert min(left, right) > 0.2 * (left + right)
        assert phantom.outline.sum() > 0.3 * phantom.lungs.sum()


def test_ground_glass_is_in_both_lungs_peripheral_and_mostly_basal() -> None:
    outward, height = [], []
    for patient in range(12):
        phantom = draw(finding="covid19", patient=patient)
        assert min(sides(phantom)) > 0
        assert len(phantom.boxes) >= 2
        rows, columns = np.nonzero(phantom.outline)
        lung_rows, lung_columns = np.nonzero(phantom.lungs)
        half = (lung_columns.max() - lung_columns.min()) / 2
        outward.append(np.abs(columns - middle_column(phantom)).mean() / half)
        height.append((rows.mean() - lung_rows.min()) / (lung_rows.max() - lung_rows.min()))
    assert np.mean(outward) > 0.65
    assert np.mean(height) > 0.55


def test_findings_differ_in_fineness() -> None:
    """The interstitial pattern changes from pixel to pixel, consolidation and ground glass do not."""

    def fineness(finding: str) -> float:
        values = []
        for patient in range(6):
            phantom = draw(finding=finding, patient=patient, size=128)
            steps = np.abs(np.diff(phantom.attenuation, axis=1))[phantom.outline[:, 1:] & phantom.outline[:, :-1]]
            values.append(steps.mean() / phantom.attenuation[phantom.outline].mean())
        return float(np.mean(values))

    assert fineness("viral") > 1.25 * fineness("covid19")
    assert fineness("viral") > 1.25 * fineness("bacterial")


def test_heart_is_to_the_patients_left() -> None:
    """The heart hides more of the left lung, which the picture shows on the right."""
    for patient in range(12):
        phantom = draw(patient=patient, age=40.0 if patient % 2 else 4.0)
        rows = np.flatnonzero(phantom.lungs.any(axis=1))
        heart = slice(int(rows[0] + 0.55 * len(rows)), int(rows[0] + 0.85 * len(rows)))
        column = round(middle_column(phantom))
        seen_left, seen_right = phantom.lungs[heart, :column].sum(), phantom.lungs[heart, column:].sum()
        assert seen_left > 1.1 * seen_right


def test_a_second_visit_shows_the_same_patient_in_another_pose() -> None:
    first, second = draw(finding="bacterial", patient=7), draw(finding="bacterial", patient=7, visit=1)
    assert first.pixels.tobytes() != second.pixels.tobytes()
    assert (sides(first)[0] > sides(first)[1]) == (sides(second)[0] > sides(second)[1])


def test_children_are_smaller() -> None:
    adult, child = draw(age=40.0), draw(age=2.0)
    assert child.pixel_spacing[0] < 0.7 * adult.pixel_spacing[0]


def test_collimated_borders_are_black_and_never_outlined() -> None:
    hospital = replace(HOSPITALS[3], border=0.3, caption="", marker_at=(0.5, 0.5))
    phantom = draw(finding="covid19", hospital=hospital, patient=1)
    assert (phantom.pixels[0] == 0).all()
    assert (phantom.pixels[:, -1] == 0).all()
    black_rows = (phantom.pixels == 0).all(axis=1)
    assert not phantom.outline[black_rows].any()


def test_marker_is_burnt_in_on_its_side() -> None:
    plain = replace(HOSPITALS[0], marker_size=0.12, border=0.0)
    left, right = replace(plain, marker_at=(0.1, 0.1)), replace(plain, marker_at=(0.1, 0.9))
    first, second = draw(hospital=left).pixels, draw(hospital=right).pixels
    changed = np.abs(first - second) > 0.3
    half = first.shape[1] // 2
    assert changed[:, :half].any()
    assert changed[:, half:].any()
    assert first[:20, :half].max() > 0.9
    assert second[:20, half:].max() > 0.9


@pytest.mark.parametrize(
    ("values", "words"),
    [({"finding": "flu"}, "flu"), ({"view": "LL"}, "LL"), ({"size": 16}, "16")],
)
def test_impossible_specifications_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        draw(**values)


def test_outline_leaves_specks_out_closes_notches_and_keeps_the_largest_spot() -> None:
    lesion = np.zeros((30, 30), np.float32)
    lesion[5:15, 5:15] = 1.0
    lesion[9, 9] = 0.0
    lesion[20, 20] = 1.0
    lesion[25, 5:25] = 0.04
    outline = outline_of(lesion, gap=1, smallest=4)
    expected = np.zeros((30, 30), bool)
    expected[5:15, 5:15] = True
    assert np.array_equal(outline, expected)
    assert outline_of(lesion, gap=1, smallest=500).sum() == 100
    assert not outline_of(np.zeros((5, 5), np.float32), gap=1, smallest=1).any()


def test_every_lesion_has_an_outline_even_in_the_smallest_pictures() -> None:
    for number in range(36):
        phantom = draw(
            finding=FINDINGS[number % 3], patient=number, hospital=HOSPITALS[number % 4], size=32, age=2.0 if number % 2 else 60.0
        )
        assert phantom.outline.any()
        assert phantom.boxes
