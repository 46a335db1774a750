from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_pneumonia.data.importers import LabelRules, PictureFolder
from monai_pneumonia.data.importers.medmnist import import_medmnist
from monai_pneumonia.data.splits import SplitRules
from monai_pneumonia.data.validation import FaultKind, validate_datalist
from monai_pneumonia.errors import BadInputError, OutputNotWritableError


@pytest.fixture
def archive(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "mini.npz", **arrays)
        return tmp_path / "mini.npz"

    return write


def images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *(shape or (28, 28))), dtype=np.uint8)


def test_pixels_labels_and_splits_arrive(miniature):
    source = miniature("medmnist")
    result = import_medmnist(source.source, **source.options)
    with np.load(source.source) as arrays:
        for section, split in (("training", "train"), ("validation", "val"), ("testing", "test")):
            items = result.datalist.section(section)
            assert len(items) == len(arrays[f"{split}_images"])
            for number, item in enumerate(items):
                assert np.array_equal(np.asarray(Image.open(result.datalist.resolve(item.image))), arrays[f"{split}_images"][number])
                assert item.label == ("normal", "pneumonia_unspecified")[arrays[f"{split}_labels"][number, 0]]
    assert {item.source for _, item in result.datalist.items()} == {"pneumoniamnist"}


def test_a_missing_test_split_is_carved_out_of_training(archive, tmp_path):
    path = archive(train_images=images(40), train_labels=np.arange(40) % 2, val_images=images(5), val_labels=np.ones((5, 1), np.uint8))
    result = import_medmnist(path, pictures=PictureFolder(tmp_path / "out"), splits=SplitRules(fractions=(0.6, 0.2, 0.2)))
    assert [len(result.datalist.section(name)) for name in ("training", "validation", "testing")] == [30, 5, 10]
    assert all("_train_" in item.image for item in result.datalist.testing)
    assert all("_val_" in item.image for item in result.datalist.validation)
    assert any("no pictures for testing: carved out of its training pictures" in note for note in result.notes)


def test_identical_training_pictures_are_left_out(archive, tmp_path):
    """Of training pictures 0 to 9, 3 is 1 again, and 5 is in the validation split, which stays whole."""
    train, val = images(10), images(4, 28, 28)
    train[3], val[2] = train[1], train[5]
    path = archive(train_images=train, train_labels=np.arange(10) % 2, val_images=val, val_labels=np.arange(4) % 2)
    result = import_medmnist(path, pictures=PictureFolder(tmp_path / "out"))
    assert result.left_out == {"training picture identical to another": 2}
    assert result.examples["training picture identical to another"] == ("mini_train_00003.png", "mini_train_00005.png")
    assert len(result.datalist.validation) == 4


def test_colour_pictures_and_own_classes(archive, tmp_path):
    path = archive(train_images=images(9, 8, 8, 3), train_labels=np.arange(9) % 3)
    rules = LabelRules(classes=("a", "b"), mapping={"0": "a", "1": "b", "2": "drop"})
    result = import_medmnist(path, labels=rules, pictures=PictureFolder(tmp_path / "out"))
    assert result.left_out == {"label '2' is mapped to drop": 3}
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert Image.open(result.datalist.resolve(result.datalist.training[0].image)).mode == "RGB"


def test_nothing_is_written_when_labels_are_unknown(archive, tmp_path):
    path = archive(train_images=images(3), train_labels=np.array([0, 1, 7]))
    with pytest.raises(BadInputError, match=r"'7' \(1\)"):
        import_medmnist(path, pictures=PictureFolder(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"val_images": images(3), "val_labels": np.zeros(3)}, "no array 'train_images'; it has"),
        ({"train_images": images(3)}, "no 'train_labels'"),
        ({"train_images": images(3, 8, 8, 8, 1), "train_labels": np.zeros(3)}, r"uint8 \(3, 8, 8, 8, 1\)"),
        ({"train_images": images(3) / 255.0, "train_labels": np.zeros(3)}, "8-bit.*float64"),
        ({"train_images": images(3), "train_labels": np.zeros((3, 14), int)}, r"one label a picture, \[3, 1\], got \[3, 14\]"),
        ({"train_images": images(3), "train_labels": np.zeros(2, int)}, r"got \[2\]"),
    ],
)
def test_archives_that_do_not_fit(archive, tmp_path, arrays, words):
    with pytest.raises(BadInputError, match=words):
        import_medmnist(archive(**arrays), pictures=PictureFolder(tmp_path / "out"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no archive"])
def test_damaged_archive(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(BadInputError, match=r"bad\.npz"):
        import_medmnist(tmp_path / "bad.npz", pictures=PictureFolder(tmp_path / "out"))


def test_plain_array_is_no_archive(tmp_path):
    np.save(tmp_path / "plain.npy", images(3))
    with pytest.raises(BadInputError, match=r"plain\.npy"):
        import_medmnist(tmp_path / "plain.npy", pictures=PictureFolder(tmp_path / "out"))


def test_pictures_that_cannot_be_written(archive, tmp_path):
    (tmp_path / "file").touch()
    path = archive(train_images=images(4), train_labels=np.arange(4) % 2)
    with pytest.raises(OutputNotWritableError, match="cannot write pictures"):
        import_medmnist(path, pictures=PictureFolder(tmp_path / "file"))


@pytest.mark.slow
@pytest.mark.realdata
def test_real_archive(real_data, tmp_path):
    (path,) = (real_data / "pneumoniamnist").glob("*.npz")
    result = import_medmnist(path, pictures=PictureFolder(tmp_path / "out"))
    sizes = [len(result.datalist.section(name)) for name in ("training", "validation", "testing")]
    assert result.records == 4406
    assert result.left_out.keys() == {"training picture identical to another"}
    assert sum(sizes) == 4406 - sum(result.left_out.values()) > 4370
    assert sizes[1] == 524
    # .15 of .85 of the 3,882 training pictures, in whole folds
    assert 3882 * 0.16 < sizes[2] < 3882 * 0.19
    with np.load(path) as arrays:
        normal = int((arrays["train_labels"] == 0).sum() + (arrays["val_labels"] == 0).sum())
    assert normal - 10 <= sum(item.label == "normal" for _, item in result.datalist.items()) <= normal
    report = validate_datalist(result.datalist)
    assert {fault.kind for fault in report.faults} <= {FaultKind.EMPTY_CLASS}
