"""Line integrals against formulas and against what must be conserved."""

from __future__ import annotations

import numpy as np
import pytest

from monai_pneumonia.data.phantoms.projection import (
    Projection,
    capsule_chord,
    ellipsoid_chord,
    resample,
    smooth_curve,
    smooth_noise,
    smooth_step,
    solid,
    tube_points,
    union,
)

PLAIN = Projection(rows=120, columns=100, row_cm=0.25, column_cm=0.3)


def test_splat_conserves_volume() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-8, 4, -5], [8, 20, 5], (500, 3))
    volumes = rng.uniform(0.1, 1.0, 500)
    picture = PLAIN.splat(points, volumes)
    assert picture.shape == (120, 100)
    assert float(picture.sum()) * PLAIN.row_cm * PLAIN.column_cm == pytest.approx(volumes.sum(), rel=1e-5)


def test_splat_drops_what_the_detector_does_not_see() -> None:
    far = np.array([[500.0, 12.0, 0.0], [0.0, -500.0, 0.0], [-500.0, 500.0, 0.0]])
    assert PLAIN.splat(far, np.ones(3)).sum() == 0


def test_point_lands_on_its_pixel_and_left_of_the_patient_is_right_in_the_picture() -> None:
    picture = PLAIN.splat(np.array([[6.0, 3.0, 0.0]]), np.ones(1))
    row, column = np.unravel_index(int(picture.argmax()), picture.shape)
    x, y = PLAIN.grid()
    assert x[row, column] == pytest.approx(6.0, abs=0.3)
    assert y[row, column] == pytest.approx(3.0, abs=0.25)
    assert column > 50
    assert row < 60


@pytest.mark.parametrize("tilt", [0.0, 0.2])
def test_grid_and_points_agree(tilt: float) -> None:
    projection = Projection(rows=60, columns=80, row_cm=0.5, column_cm=0.4, centre_x=1.0, centre_y=11.0, tilt=tilt)
    x, y = projection.grid()
    points = np.stack([x[13, 57], y[13, 57], 0.0])[None]
    row, column = projection.to_pixels(points.astype(float))
    assert row[0] == pytest.approx(13, abs=1e-3)
    assert column[0] == pytest.approx(57, abs=1e-3)


def test_turning_moves_front_and_back_apart() -> None:
    turned = Projection(rows=60, columns=80, row_cm=0.5, column_cm=0.5, turn=0.1)
    _, front_and_back = turned.to_pixels(np.array([[0.0, 12.0, -8.0], [0.0, 12.0, 8.0]]))
    assert front_and_back[1] - front_and_back[0] == pytest.approx(2 * 8 * np.sin(0.1) / 0.5)
    assert turned.shift(8.0) == pytest.approx(8 * np.sin(0.1))


def test_magnification_enlarges_what_lies_at_the_back() -> None:
    magnified = Projection(rows=60, columns=80, row_cm=0.5, column_cm=0.5, magnification=0.01)
    _, column = magnified.to_pixels(np.array([[5.0, 12.0, 0.0], [5.0, 12.0, 10.0]]))
    assert (column[1] - 39.5) / (column[0] - 39.5) == pytest.approx(1.1)


def test_tube_has_the_chord_of_a_rod() -> None:
    fine = Projection(rows=200, columns=200, row_cm=0.1, column_cm=0.1)
    curve = resample(np.array([[-30.0, 12.0, 0.0, 2.0, 1.5], [30.0, 12.0, 0.0, 2.0, 1.5]]), 0.1)
    points, volumes = tube_points(curve[:, :3], curve[:, 3], curve[:, 4], 0.1)
    assert volumes.sum() == pytest.approx(np.pi * 2.0 * 1.5 * 60, rel=0.01)
    profile = fine.blur(fine.splat(points, volumes), 0.1)[:, 60:140].mean(axis=1)
    y = fine.grid()[1][:, 0] - 12.0
    expected = 2 * 1.5 * np.sqrt(np.maximum(1 - (y / 2.0) ** 2, 0))
    inner = np.abs(y) < 1.7
    assert np.abs(profile - expected)[inner].max() < 0.15
    assert profile[np.abs(y) > 2.5].max() == 0


def test_hollow_tube_is_a_rod_less_its_core() -> None:
    fine = Projection(rows=200, columns=200, row_cm=0.1, column_cm=0.1)
    curve = resample(np.array([[-30.0, 12.0, 0.0, 2.0], [30.0, 12.0, 0.0, 2.0]]), 0.1)
    hollow = tube_points(curve[:, :3], curve[:, 3], curve[:, 3], 0.1, lambda u: solid(u) - 0.5 * solid(u / 0.5))
    assert hollow[1].sum() == pytest.approx(np.pi * 4 * 60 * (1 - 0.25), rel=0.01)
    profile = fine.blur(fine.splat(*hollow), 0.1)[:, 60:140].mean(axis=1)
    assert profile[100] < 0.75 * profile[100 + 12]


def test_several_tubes_at_once_are_the_tubes_one_by_one() -> None:
    curves = np.random.default_rng(1).uniform(-5, 5, (3, 20, 3))
    width, depth = np.full((3, 20), 0.5), np.full((3, 20), 0.3)
    together = tube_points(curves, width, depth, 0.2)
    one_by_one = [tube_points(curves[tube], width[tube], depth[tube], 0.2) for tube in range(3)]
    assert np.array_equal(together[0], np.concatenate([points for points, _ in one_by_one]))
    assert np.array_equal(together[1], np.concatenate([volumes for _, volumes in one_by_one]))


def test_resampled_points_are_even_and_keep_the_ends() -> None:
    curve = resample(np.array([[0.0, 0.0, 0.0, 1.0], [3.0, 4.0, 0.0, 3.0]]), 0.1)
    gaps = np.linalg.norm(np.diff(curve[:, :3], axis=0), axis=1)
    assert gaps.max() < 0.1
    assert gaps == pytest.approx(gaps[0])
    assert curve[0] == pytest.approx([0, 0, 0, 1])
    assert curve[-1] == pytest.approx([3, 4, 0, 3])


def test_ellipsoid_has_its_volume_whatever_its_angle() -> None:
    x, y = PLAIN.grid()
    for angle in (0.0, 0.7):
        chord = ellipsoid_chord(x, y, (1.0, 11.0), (6.0, 3.0, 4.0), angle)
        assert float(chord.sum()) * 0.25 * 0.3 == pytest.approx(4 / 3 * np.pi * 6 * 3 * 4, rel=0.01)
        assert chord.max() == pytest.approx(8.0, rel=0.01)


def test_capsule_is_a_sphere_where_its_ends_meet_and_a_cone_between() -> None:
    x, y = PLAIN.grid()
    chord = capsule_chord(x, y, np.array([[0.0, 5.0], [0.0, 20.0]]), (2.0, 4.0))
    for height, radius in ((5.0, 2.0), (12.5, 3.0), (20.0, 4.0)):
        near = int(np.argmin(np.abs(y[:, 0] - height)))
        assert chord[near].max() == pytest.approx(2 * radius, rel=0.03)


def test_union_is_no_less_than_each_and_less_than_the_sum() -> None:
    first, second = np.full((2, 2), 3.0, np.float32), np.full((2, 2), 4.0, np.float32)
    joined = union(first, second)
    assert (joined >= 4.0).all()
    assert (joined < 5.0).all()
    assert union(first, np.zeros_like(first)) == pytest.approx(first)


def test_smooth_step_rises_from_nought_to_one() -> None:
    assert smooth_step(np.array([-5.0, -1.0, 0.0, 1.0, 5.0], np.float32)) == pytest.approx([0, 0, 0.5, 1, 1])


def test_smooth_curve_passes_its_corners() -> None:
    corners = np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [3.0, 14.0, 0.0]])
    curve = smooth_curve(corners, np.array([1.0, 2.0, 1.0]), 61)
    assert curve.shape == (61, 4)
    for corner in corners:
        assert np.linalg.norm(curve[:, :3] - corner, axis=1).min() < 0.1


def test_noise_is_the_same_field_at_another_resolution() -> None:
    small = smooth_noise(np.random.default_rng(4), (64, 64), 6)
    large = smooth_noise(np.random.default_rng(4), (128, 128), 6)
    shrunk = large.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.999
    assert 0.4 < small.std() < 1.8
