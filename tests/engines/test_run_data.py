"""What a training reads: folds, label fraction, and a cache that is full before the first epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.transforms import Compose

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.engines import load_run_datalist, prepare_datasets
from monai_pneumonia.errors import UnreadableImageError
from monai_pneumonia.transforms.cached_dataset import RadiographDataset


def test_without_fold_and_fraction_the_datalist_is_as_written(phantom_datalist: Path) -> None:
    assert load_run_datalist(str(phantom_datalist)) == load_datalist(phantom_datalist)


def test_folds_share_out_training_and_validation_by_patient(phantom_datalist: Path) -> None:
    whole = load_datalist(phantom_datalist)
    folds = [load_run_datalist(str(phantom_datalist), fold, 3, seed=1) for fold in range(3)]
    known = {item.id for item in (*whole.training, *whole.validation)}
    for fold in folds:
        assert {item.id for item in fold.training} | {item.id for item in fold.validation} == known
        assert not {item.patient for item in fold.training} & {item.patient for item in fold.validation}
        assert fold.testing == whole.testing
    validated = [item.id for fold in folds for item in fold.validation]
    assert sorted(validated) == sorted(known)


def test_a_label_fraction_takes_labels_of_training_patients_alone(phantom_datalist: Path) -> None:
    whole = load_datalist(phantom_datalist)
    part = load_run_datalist(str(phantom_datalist), label_fraction=0.5)
    assert [item.id for item in part.training] == [item.id for item in whole.training]
    labelled = [sum(item.label is not None for item in datalist.training) for datalist in (whole, part)]
    assert 0 < labelled[1] < labelled[0]
    assert (part.validation, part.testing) == (whole.validation, whole.testing)


class _Decode:
    """Counts how often each picture is decoded; some cannot be."""

    def __init__(self, bad: tuple[str, ...] = (), fault: type[Exception] = UnreadableImageError) -> None:
        self.bad = bad
        self.fault = fault
        self.seen: list[str] = []

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        name = Path(record["image"]).name
        self.seen.append(name)
        if name in self.bad:
            raise self.fault(f"{name}: cut short")
        return {"image": torch.full((1, 4, 4), float(len(self.seen)))}


def _dataset(folder: Path, names: tuple[str, ...], decode: _Decode) -> RadiographDataset:
    for name in names:
        (folder / name).write_bytes(name.encode())
    data = [{"id": Path(name).stem, "image": str(folder / name), "target": torch.ones(2)} for name in names]
    return RadiographDataset(data, Compose([decode]), cache_dir=folder / "cache", cache_name=names[0])


def test_every_picture_is_decoded_once_before_the_first_epoch(tmp_path: Path) -> None:
    decode = _Decode()
    datasets = _dataset(tmp_path, ("a.png", "b.png"), decode), _dataset(tmp_path, ("c.png",), decode)
    prepare_datasets(*datasets)
    assert sorted(decode.seen) == ["a.png", "b.png", "c.png"]
    for _ in range(2):
        assert [float(datasets[0][index]["image"].mean()) for index in range(2)] == [1.0, 2.0]
    assert len(decode.seen) == 3


def test_all_bad_pictures_are_named_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decode = _Decode(bad=("b.png", "c.png"))
    datasets = _dataset(tmp_path, ("a.png", "b.png"), decode), _dataset(tmp_path, ("c.png",), decode)
    with pytest.raises(SystemExit) as ended:
        prepare_datasets(*datasets)
    assert ended.value.code == 4
    told = capsys.readouterr().err
    assert told.startswith("error: 2 of 3 pictures cannot be used")
    assert "item 'b': b.png: cut short" in told
    assert "item 'c': c.png: cut short" in told
    assert "a.png" not in told


def test_a_fault_of_the_program_is_not_taken_for_a_bad_picture(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, ("a.png",), _Decode(bad=("a.png",), fault=ZeroDivisionError))
    with pytest.raises(RuntimeError) as raised:
        prepare_datasets(dataset)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
