"""The cached data set: one decoding, random state by (seed, epoch, item)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from monai_pneumonia.errors import UnreadableImageError
from monai_pneumonia.transforms.augmentation import training_augmentation
from monai_pneumonia.transforms.cached_dataset import RadiographDataset
from monai_pneumonia.transforms.network_input import network_input_transforms


@pytest.fixture
def records(tmp_path: Path) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    made: list[dict[str, object]] = []
    for index in range(4):
        file = tmp_path / f"{index}.png"
        Image.fromarray(rng.integers(0, 255, (40, 50), dtype=np.uint8)).save(file)
        made.append({"id": str(index), "image": str(file), "mask": None, "boxes": (), "mask_kind": "unknown", "target": np.eye(4)[index]})
    return made


def _dataset(records: list[dict[str, object]], cache: Path | None, augmented: bool = True, seed: int = 0) -> RadiographDataset:
    augmentation = training_augmentation(32) if augmented else None
    return RadiographDataset(records, network_input_transforms(32), cache, augmentation, seed)


def test_an_item_holds_the_picture_and_what_is_known(records: list[dict[str, object]], tmp_path: Path) -> None:
    item = _dataset(records, tmp_path / "cache", augmented=False)[2]
    assert item["image"].shape == (1, 32, 32)
    assert item["id"] == "2"
    np.testing.assert_array_equal(item["target"], np.eye(4)[2])
    expected = network_input_transforms(32)({"image": records[2]["image"]})["image"]
    assert torch.equal(item["image"], torch.as_tensor(expected.as_tensor()))


def test_a_picture_is_decoded_once(records: list[dict[str, object]], tmp_path: Path) -> None:
    dataset = _dataset(records, tmp_path / "cache")
    for index in range(4):
        dataset.prepare(index)
    decoded: list[object] = []
    plain = dataset.transform
    dataset.transform = lambda item: decoded.append(item) or plain(item)  # type: ignore[func-returns-value,assignment]
    for epoch in range(3):
        dataset.set_epoch(epoch)
        _ = [dataset[index] for index in range(4)]
    assert not decoded


def test_a_changed_label_is_seen_though_the_picture_is_cached(records: list[dict[str, object]], tmp_path: Path) -> None:
    _ = _dataset(records, tmp_path / "cache")[0]
    records[0]["target"] = np.ones(4)
    np.testing.assert_array_equal(_dataset(records, tmp_path / "cache")[0]["target"], np.ones(4))


def test_a_changed_picture_is_read_anew(records: list[dict[str, object]], tmp_path: Path) -> None:
    before = _dataset(records, tmp_path / "cache", augmented=False)[0]["image"]
    file = Path(str(records[0]["image"]))
    Image.fromarray(np.tile(np.arange(50, dtype=np.uint8), (40, 1))).save(file)
    os.utime(file, ns=(1, 1))
    after = _dataset(records, tmp_path / "cache", augmented=False)[0]["image"]
    assert not torch.equal(before, after)


def test_views_depend_on_seed_epoch_and_item_alone(records: list[dict[str, object]], tmp_path: Path) -> None:
    def view(seed: int, epoch: int, index: int) -> torch.Tensor:
        dataset = _dataset(records, tmp_path / "cache", seed=seed)
        dataset.set_epoch(epoch)
        _ = dataset[(index + 1) % 4]
        picture: torch.Tensor = dataset[index]["image"]
        return picture

    assert torch.equal(view(0, 1, 2), view(0, 1, 2))
    assert not torch.equal(view(0, 1, 2), view(0, 2, 2))
    assert not torch.equal(view(0, 1, 2), view(1, 1, 2))


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_draw_the_same_views_as_one_process(records: list[dict[str, object]], tmp_path: Path, persistent: bool) -> None:
    alone, shared = _dataset(records, tmp_path / "cache"), _dataset(records, tmp_path / "cache")
    loader = DataLoader(shared, batch_size=2, num_workers=2, persistent_workers=persistent)
    for epoch in (1, 2):
        alone.set_epoch(epoch)
        shared.set_epoch(epoch)
        from_workers = torch.cat([batch["image"] for batch in loader])
        assert torch.equal(from_workers, torch.stack([alone[index]["image"] for index in range(4)]))


def test_a_bad_picture_is_told_by_our_own_error(records: list[dict[str, object]], tmp_path: Path) -> None:
    Path(str(records[1]["image"])).write_text("nothing")
    with pytest.raises(UnreadableImageError, match=r"1\.png"):
        _dataset(records, tmp_path / "cache").prepare(1)


@pytest.mark.parametrize("length", [0, 100, None])
def test_a_cut_cache_file_is_made_anew(records: list[dict[str, object]], tmp_path: Path, length: int | None) -> None:
    whole = _dataset(records, tmp_path / "cache", augmented=False)[0]["image"]
    (file,) = tmp_path.glob("cache/*/*.pt")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2 if length is None else length])
    assert torch.equal(_dataset(records, tmp_path / "cache", augmented=False)[0]["image"], whole)
    assert torch.load(file, weights_only=True)["image"].shape == whole.shape
