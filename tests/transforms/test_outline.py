"""Masks and boxes on the network's grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset
from monai.transforms import Compose
from PIL import Image

from monai_pneumonia.data.datalist import MASK_KINDS
from monai_pneumonia.errors import BadInputError, UsageError
from monai_pneumonia.transforms.network_input import network_input, network_input_transforms, to_original_grid
from monai_pneumonia.transforms.outline import LesionOutlined, OutlineKind, box_coverage, drawn_outline

MODES = ("stretch", "pad")


def _outlined(item: dict[str, Any], size: tuple[int, int] = (40, 60), mode: str = "stretch", input_size: int = 20) -> dict[str, Any]:
    picture = np.random.default_rng(0).random(size, dtype=np.float32)
    return LesionOutlined(input_size, mode)({"id": "a", "image": network_input(picture, input_size, mode), **item})


def _mask(folder: Path, values: np.ndarray) -> str:
    Image.fromarray(values).save(folder / "mask.png")
    return str(folder / "mask.png")


def test_the_kinds_are_those_of_the_datalist() -> None:
    assert {kind.name.lower() for kind in OutlineKind} == set(MASK_KINDS)


def test_a_pixel_mask_is_averaged_over_cells(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[4:7, 6:12] = 255
    item = _outlined({"mask": _mask(tmp_path, mask), "mask_kind": "pixel"})
    # Cells of 2 x 3 pixels: rows 4..5 fill cell row 2, row 6 half of cell row 3; columns 6..11 fill cell columns 2 and 3.
    expected = torch.zeros(1, 20, 20)
    expected[0, 2, 2:4] = 1
    expected[0, 3, 2:4] = 0.5
    torch.testing.assert_close(item["outline"].as_tensor(), expected)
    assert float(item["has_outline"]) == 1
    assert int(item["outline_kind"]) == OutlineKind.PIXEL


def test_what_was_drawn_on_the_pictures_own_grid(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[1, 2:5] = 255
    file = _mask(tmp_path, mask)
    np.testing.assert_array_equal(drawn_outline({"id": "a", "mask": file, "mask_kind": "pixel"}, (4, 6)), mask / 255)
    # The box covers half of column 3.
    boxed = drawn_outline({"id": "a", "boxes": ((2.0, 1.0, 1.5, 1.0),), "mask_kind": "box"}, (4, 6))
    assert (boxed[1, 2], boxed[1, 3], boxed.sum()) == (1, 0.5, 1.5)
    for kind in ("empty", "unknown"):
        assert not drawn_outline({"id": "a", "mask": file, "mask_kind": kind}, (4, 6)).any()
    with pytest.raises(BadInputError, match=r"item 'a'.* 4 x 6 pixels, the picture 6 x 4"):
        drawn_outline({"id": "a", "mask": file, "mask_kind": "pixel"}, (6, 4))


def test_a_box_is_averaged_over_cells() -> None:
    item = _outlined({"boxes": ((6.0, 4.0, 6.0, 3.0),), "mask_kind": "box", "mask": None})
    expected = torch.zeros(1, 20, 20)
    expected[0, 2, 2:4] = 1
    expected[0, 3, 2:4] = 0.5
    torch.testing.assert_close(item["outline"].as_tensor(), expected)
    assert float(item["has_outline"]) == 1
    assert int(item["outline_kind"]) == OutlineKind.BOX


def test_boxes_given_as_a_mask(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[4:7, 6:12] = 255
    by_mask = _outlined({"boxes": (), "mask_kind": "box", "mask": _mask(tmp_path, mask)})
    by_box = _outlined({"boxes": [[6, 4, 6, 3]], "mask_kind": "box"})
    torch.testing.assert_close(by_mask["outline"].as_tensor(), by_box["outline"].as_tensor())


@pytest.mark.parametrize(("kind", "code"), [("empty", OutlineKind.EMPTY), ("unknown", OutlineKind.UNKNOWN), (None, OutlineKind.UNKNOWN)])
def test_empty_and_unknown_are_zeros_with_their_own_code(kind: str | None, code: OutlineKind) -> None:
    item = _outlined({"mask_kind": kind})
    assert item["outline"].shape == (1, 20, 20)
    assert float(item["outline"].abs().max()) == 0
    assert float(item["has_outline"]) == 0
    assert int(item["outline_kind"]) == code


def test_a_mask_with_nothing_on_it_is_no_outline(tmp_path: Path) -> None:
    item = _outlined({"mask": _mask(tmp_path, np.zeros((40, 60), np.uint8)), "mask_kind": "pixel"})
    assert float(item["has_outline"]) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(60, 40), (40, 60), (34, 90), (200, 150)])
def test_the_outline_lies_where_the_lesion_lies_in_the_picture(mode: str, size: tuple[int, int], tmp_path: Path) -> None:
    height, width = size
    lesion = np.zeros(size, np.uint8)
    lesion[height // 4 : height // 2, width // 2 : width * 3 // 4] = 255
    picture = network_input(lesion, 32, mode)
    box = (width // 2, height // 4, width * 3 // 4 - width // 2, height // 2 - height // 4)
    for given_as in ({"mask": _mask(tmp_path, lesion), "mask_kind": "pixel"}, {"boxes": [box], "mask_kind": "box"}):
        item = LesionOutlined(32, mode)({"id": "a", "image": picture, **given_as})
        # The picture shows the lesion itself, from 0 to 1, and went the same way.
        torch.testing.assert_close(item["outline"].as_tensor(), picture.as_tensor(), rtol=0, atol=1e-5)
        back = to_original_grid(item["outline"], item["outline"])
        assert back.shape == size


@settings(max_examples=50, deadline=None)
@given(
    boxes=st.lists(st.tuples(st.floats(-30, 80), st.floats(-30, 80), st.floats(0.1, 70), st.floats(0.1, 70)), max_size=4),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
def test_box_coverage_against_fine_sampling(boxes: list[tuple[float, float, float, float]], height: int, width: int) -> None:
    coverage = box_coverage(boxes, (height, width))
    assert coverage.shape == (height, width)
    fine = 16
    rows, columns = (np.arange(side * fine) / fine + 0.5 / fine for side in (height, width))
    expected = np.zeros((height, width))
    for left, top, across, down in boxes:
        inside = np.outer((rows >= top) & (rows < top + down), (columns >= left) & (columns < left + across)).astype(float)
        expected = np.maximum(expected, inside.reshape(height, fine, width, fine).mean(axis=(1, 3)))
    np.testing.assert_allclose(coverage, expected, atol=2.5 / fine)


def test_box_coverage_by_hand() -> None:
    # x from 0.5 to 2, y from 1 to 1.25
    np.testing.assert_allclose(box_coverage([(0.5, 1.0, 1.5, 0.25)], (3, 3)), [[0, 0, 0], [0.125, 0.25, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"mask_kind": "pixel", "mask": None}, "neither mask nor box"),
        ({"mask_kind": "box"}, "neither mask nor box"),
        ({"mask_kind": "box", "boxes": [(1, 2, 0, 5)]}, "is no box"),
        ({"mask_kind": "box", "boxes": [(1, 2, 3)]}, "is no box"),
        ({"mask_kind": "box", "boxes": [(1, float("nan"), 3, 4)]}, "is no box"),
        ({"mask_kind": "circle"}, "mask_kind is 'circle': give one of"),
        ({"mask_kind": "pixel", "mask": "/nowhere/mask.png"}, "its mask cannot be used: /nowhere/mask.png does not exist"),
    ],
)
def test_bad_outlines_name_the_item(item: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=said) as caught:
        _outlined(item)
    assert "item 'a'" in str(caught.value)


def test_a_mask_of_another_size_names_the_item(tmp_path: Path) -> None:
    path = _mask(tmp_path, np.full((60, 40), 255, np.uint8))
    with pytest.raises(BadInputError, match=r"item 'a'.*60 x 40 pixels, the picture 40 x 60"):
        _outlined({"mask": path, "mask_kind": "pixel"})


def test_a_mask_of_ones_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    path = _mask(tmp_path, np.eye(40, 60, dtype=np.uint8))
    with pytest.raises(BadInputError, match="write outlines as 0 and 255"):
        _outlined({"mask": path, "mask_kind": "pixel"})


def test_a_picture_that_forgot_its_size_is_told() -> None:
    with pytest.raises(UsageError, match="after the network input's steps"):
        LesionOutlined(20)({"id": "a", "image": torch.zeros(1, 20, 20), "mask_kind": "empty"})
    with pytest.raises(UsageError, match="resize_mode"):
        LesionOutlined(20, "crop")


def test_errors_pass_through_the_pipeline(tmp_path: Path) -> None:
    from monai_pneumonia.transforms.reader import plain_errors

    steps = Compose([network_input_transforms(20), LesionOutlined(20)])
    with pytest.raises(BadInputError, match="item 'b'"), plain_errors():
        steps({"id": "b", "image": np.zeros((5, 5)), "mask_kind": "box"})


def test_outlines_collate() -> None:
    picture = np.random.default_rng(0).random((30, 20), dtype=np.float32)
    items = [
        {"id": "a", "image": picture, "mask_kind": "box", "boxes": [(2, 3, 10, 12)]},
        {"id": "b", "image": picture.T.copy(), "mask_kind": "empty", "boxes": ()},
    ]
    steps = Compose([network_input_transforms(16, "pad"), LesionOutlined(16, "pad")])
    kept = [{key: value for key, value in steps(item).items() if key != "boxes"} for item in items]
    (batch,) = list(DataLoader(Dataset(kept), batch_size=2))
    assert batch["outline"].shape == (2, 1, 16, 16)
    assert batch["has_outline"].tolist() == [1.0, 0.0]
    assert batch["outline_kind"].tolist() == [OutlineKind.BOX, OutlineKind.EMPTY]


@pytest.mark.realdata
def test_real_outlines_and_boxes_agree(real_data: Path) -> None:
    import csv

    with (real_data / "cxr.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["mask_kind"] in ("pixel", "box")]
    assert len(rows) > 100
    for row in rows[::12]:
        image = network_input(real_data / row["image"], 128, "pad")
        item = LesionOutlined(128, "pad")(
            {"id": row["image"], "image": image, "mask": str(real_data / row["mask"]), "mask_kind": row["mask_kind"]}
        )
        assert float(item["has_outline"]) == 1
        assert 0 < float(item["outline"].mean()) < 0.5
