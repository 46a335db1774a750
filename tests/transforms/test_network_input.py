"""From a file to the network's input, and back to the picture's own grid."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, Flip
from PIL import Image
from radiograph_files import marker, write_dicom

from monai_pneumonia.errors import RejectedImageError, UnreadableImageError, UsageError
from monai_pneumonia.transforms.network_input import network_input, network_input_transforms, scale_robustly, to_original_grid

MODES = ("stretch", "pad")
_SIZES = st.integers(1, 70)


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width), dtype=np.float32)


@settings(max_examples=80, deadline=None)
@given(
    height=_SIZES,
    width=_SIZES,
    size=st.integers(1, 48),
    mode=st.sampled_from(MODES),
    kind=st.sampled_from(["u1", "u2", "i2", "f4", "f8", "?"]),
)
def test_any_array_becomes_a_square_and_maps_go_back(height: int, width: int, size: int, mode: str, kind: str) -> None:
    values = (_noise(height, width) * (1 if kind in ("f4", "f8") else 200)).astype(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = network_input(values, size, mode)
        back = to_original_grid(torch.rand(size, size), made)
    assert isinstance(made, MetaTensor)
    assert made.shape == (1, size, size)
    assert made.dtype == torch.float32
    assert bool(torch.isfinite(made).all())
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert back.shape == (height, width)
    assert back.dtype == torch.float32
    assert not isinstance(back, MetaTensor)
    assert 0 <= float(back.min()) <= float(back.max()) <= 1


def test_stretching_averages_areas() -> None:
    # Cells of 2 x 3 pixels, each of one level, become one pixel each: percentiles of 0..1 in 101 even steps leave 0.5 % at either end.
    levels = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    picture = np.kron(levels, np.ones((2, 3), dtype=np.float32))
    low, high = np.percentile(levels, [0.5, 99.5])
    expected = ((levels - low) / (high - low)).clip(0, 1)
    np.testing.assert_allclose(network_input(picture, 10)[0].numpy(), expected, atol=1e-5)


def test_padding_keeps_the_aspect_and_adds_black_bars_of_equal_width() -> None:
    picture = 0.5 + 0.5 * _noise(40, 20)
    picture[:, 0] = 0.5
    made = network_input(picture, 20, "pad").as_tensor()[0]
    assert (made[:, :5] == 0).all()
    assert (made[:, 15:] == 0).all()
    inner = torch.from_numpy(picture).reshape(20, 2, 10, 2).mean(dim=(1, 3))
    torch.testing.assert_close(made[:, 5:15], scale_robustly(inner), rtol=0, atol=1e-5)


def test_the_bars_have_no_part_in_the_grey_levels() -> None:
    tall = 0.5 + 0.2 * _noise(40, 4)
    bars = network_input(tall, 20, "pad").as_tensor()[0, :, 9:11]
    assert float(bars.max()) == 1
    assert float(bars.min()) == 0


@pytest.mark.parametrize("mode", MODES)
def test_exposure_and_window_drop_out(mode: str) -> None:
    picture = _noise(50, 40)
    plain = network_input(picture, 24, mode).as_tensor()
    for changed in (0.2 + 0.1 * picture, 4000 * picture - 1000, picture * 0.001):
        torch.testing.assert_close(network_input(changed.astype(np.float32), 24, mode).as_tensor(), plain, rtol=0, atol=2e-3)


def test_a_few_burnt_in_pixels_do_not_dim_the_picture() -> None:
    picture = 0.2 + 0.1 * _noise(100, 100)
    marked = picture.copy()
    marked[:3, :3] = 1
    difference = (network_input(marked, 50).as_tensor() - network_input(picture, 50).as_tensor()).abs()
    assert float(difference.median()) < 0.02


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (33, 20), (300, 7)])
def test_constant_pictures_become_zeros(mode: str, level: float, shape: tuple[int, int]) -> None:
    assert float(network_input(np.full(shape, level, np.float32), 16, mode).abs().max()) == 0


def test_scaling_by_percentiles_by_hand() -> None:
    # 0..1000: the percentiles are 5 and 995.
    values = torch.arange(1001, dtype=torch.float32)
    scaled = scale_robustly(values)
    assert float(scaled[5]) == 0
    assert float(scaled[3]) == 0
    assert float(scaled[995]) == 1
    assert float(scaled[500]) == pytest.approx(0.5)


def test_small_pictures_are_enlarged_smoothly() -> None:
    made = network_input(np.array([[0, 1], [0, 1]], dtype=np.float32), 16).as_tensor()[0]
    # Blocks would give two levels only.
    assert len(made[0].unique()) > 4
    assert (made.diff(dim=1) >= 0).all()


def test_paths_arrays_and_strings_give_the_same(tmp_path: Path) -> None:
    Image.fromarray(marker()).save(tmp_path / "a.png")
    from_array = network_input(marker(), 32).as_tensor()
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), torch.from_numpy(marker())):
        torch.testing.assert_close(network_input(source, 32).as_tensor(), from_array, rtol=0, atol=0)
    item = network_input_transforms(32, keys=("picture",))({"picture": tmp_path / "a.png", "id": "a"})
    torch.testing.assert_close(item["picture"].as_tensor(), from_array, rtol=0, atol=0)
    assert item["id"] == "a"


def test_the_steps_are_deterministic_and_can_be_pickled() -> None:
    steps = network_input_transforms(32, "pad")
    copied = pickle.loads(pickle.dumps(steps))
    torch.testing.assert_close(steps({"image": marker()})["image"], copied({"image": marker()})["image"], rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["", "crop", "Stretch", None])
def test_an_unknown_resize_mode_names_the_key(mode: str) -> None:
    with pytest.raises(UsageError, match=r"resize_mode is .*: give one of stretch, pad"):
        network_input_transforms(32, mode)


@pytest.mark.parametrize("size", [0, -3, 1.5, True, "64"])
def test_an_impossible_input_size_names_the_key(size: object) -> None:
    with pytest.raises(UsageError, match="input_size is "):
        network_input_transforms(size)  # type: ignore[arg-type]


def test_errors_arrive_as_they_were_raised(tmp_path: Path) -> None:
    ct = write_dicom(tmp_path / "a.dcm", marker(), Modality="CT")
    with pytest.raises(RejectedImageError, match="modality CT"):
        network_input(ct, 32)
    with pytest.raises(RejectedImageError, match="modality CT"):
        network_input_transforms(32)({"image": ct})
    with pytest.raises(UnreadableImageError, match="does not exist"):
        Dataset([{"image": tmp_path / "nowhere.png"}], network_input_transforms(32)).transform({"image": tmp_path / "nowhere.png"})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(120, 80), (80, 120), (33, 57), (20, 20)])
def test_what_lay_in_a_box_goes_back_to_that_box(mode: str, shape: tuple[int, int]) -> None:
    height, width = shape
    box = (slice(height // 4, height // 2), slice(width // 2, width * 3 // 4))
    picture = np.zeros(shape, dtype=np.float32)
    picture[box] = 1
    made = network_input(picture, 64, mode)
    back = to_original_grid(made, made).numpy()
    inside = np.zeros(shape, dtype=bool)
    inside[box] = True
    assert ((back > 0.5) & inside).sum() / ((back > 0.5) | inside).sum() > 0.8
    # No side is favoured.
    rows, columns = np.nonzero(back > 0.5)
    centre = ((box[0].start + box[0].stop - 1) / 2, (box[1].start + box[1].stop - 1) / 2)
    np.testing.assert_allclose((rows.mean(), columns.mean()), centre, atol=0.6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("workers", [0, 1])
def test_the_way_back_survives_batches_and_workers(mode: str, workers: int) -> None:
    items = [{"image": _noise(50, 30)}, {"image": _noise(20, 44)}]
    loader = DataLoader(Dataset(items, network_input_transforms(32, mode)), batch_size=2, num_workers=workers)
    (batch,) = list(loader)
    for item, made in zip(items, decollate_batch(batch["image"]), strict=True):
        alone = network_input(item["image"], 32, mode)
        torch.testing.assert_close(to_original_grid(made, made), to_original_grid(alone, alone), rtol=0, atol=0)


def test_a_map_on_another_grid_or_without_a_memory_is_refused() -> None:
    made = network_input(marker(), 32)
    with pytest.raises(ValueError, match="bring the map to the input's grid"):
        to_original_grid(torch.zeros(16, 16), made)
    with pytest.raises(ValueError, match="before augmentation"):
        to_original_grid(torch.zeros(32, 32), MetaTensor(torch.zeros(1, 32, 32)))
    with pytest.raises(ValueError, match="before augmentation"):
        to_original_grid(torch.zeros(32, 32), Compose([Flip(0)])(made))


def test_the_reference_is_left_as_it_was() -> None:
    made = network_input(marker(), 32, "pad")
    before = pickle.dumps(made.applied_operations)
    first = to_original_grid(made, made)
    torch.testing.assert_close(to_original_grid(made, made), first, rtol=0, atol=0)
    assert pickle.dumps(made.applied_operations) == before


@pytest.mark.realdata
def test_real_pictures(real_data: Path) -> None:
    paths = [*sorted((real_data / "cxr-dicom").glob("*.dcm")), *sorted((real_data / "cxr-classes").rglob("*.jpg"))[::700]]
    assert len(paths) > 12
    for mode in MODES:
        steps = network_input_transforms(128, mode)
        for path in paths:
            made = steps({"image": path})["image"]
            assert made.shape == (1, 128, 128)
            assert 0.1 < float(made.mean()) < 0.9, path.name
            assert float(made.std()) > 0.1, path.name
            assert to_original_grid(made, made).shape == tuple(made.meta["spatial_shape"])
