"""The end of a training: weights, calibration, notice and metadata of a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.engines import build_training_network, publish_weights
from monai_pneumonia.engines.publication import describe_run, predict_logits
from monai_pneumonia.handlers import BestWeights
from monai_pneumonia.inference.bundle import read_bundle
from monai_pneumonia.inference.weights import file_sha256, load_weights
from monai_pneumonia.transforms.outline import OutlineKind

METADATA = Path(__file__).parents[2] / "bundle" / "configs" / "metadata.json"
LABELS = LabelSpace.of(("normal", "bacterial", "viral"), {"pneumonia": ("bacterial", "viral")})
ARGUMENTS = {"backbone": "efficientnet-b0", "num_classes": 3}
SETTINGS: dict[str, Any] = {
    "input_size": 64,
    "resize_mode": "pad",
    "loss": {"name": "class_balanced_focal", "logit_adjustment": 0.0},
    "batch_size": 8,
}


class _Pictures(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        picture = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(index))
        return {"image": picture, "target": torch.eye(3)[index % 3]}


LOADER: DataLoader[dict[str, torch.Tensor]] = DataLoader(_Pictures(), batch_size=2)


def _item(name: str, **values: Any) -> DatalistItem:
    return DatalistItem(id=name, image=f"{name}.png", **values)


@pytest.fixture
def datalist(tmp_path: Path) -> Datalist:
    training = (
        _item("a", label="normal", source="north", license="CC0", patient_id="Jane Doe"),
        _item("b", label="viral", source="north", license="CC BY-NC 4.0", patient_id="John Doe"),
        _item("c", label="pneumonia", patient_id="Mary Major"),
    )
    (tmp_path / "datalist.json").write_text("{}")
    return Datalist(name="chests", labels=LABELS, training=training, validation=training[:1], testing=(), root=tmp_path)


def _best(seed: int, evaluated: bool = True) -> BestWeights:
    network = build_training_network(ARGUMENTS, seed=seed)
    best = BestWeights(network, None, "macro_auc")  # type: ignore[arg-type]
    if evaluated:
        parameters = {name: value.clone() for name, value in network.state_dict().items()}
        best.load_state_dict({"epoch": 4, "metric": 0.75, "metrics": {"macro_auc": 0.75}, "parameters": parameters})
    return best


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    shutil.copy(METADATA, tmp_path / "bundle" / "configs")
    return tmp_path / "bundle"


def _publish(
    bundle: Path, best: BestWeights, datalist: Datalist, settings: dict[str, Any] = SETTINGS, loader: DataLoader[Any] = LOADER
) -> None:
    publish_weights(str(bundle), best, ARGUMENTS, settings, datalist, str(datalist.root / "datalist.json"), loader, "cpu")


def test_a_published_bundle_can_be_served(bundle: Path, datalist: Datalist) -> None:
    best = _best(1)
    _publish(bundle, best, datalist)
    contents = read_bundle(bundle)
    description = contents.description
    assert description.labels == LABELS
    assert (description.input_size, description.resize_mode, description.output_activation) == (64, "pad", "sigmoid")
    assert description.training["best_epoch"] == 4
    assert description.training["validation"] == {"macro_auc": 0.75}
    assert description.training["settings"]["loss#name"] == "class_balanced_focal"
    assert contents.calibration.is_fitted
    assert contents.calibration.fitted_on["items"] == 5
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "normal", "1": "bacterial", "2": "viral"}
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [64, 64]
    pictures = next(iter(LOADER))["image"]
    reference = build_training_network(ARGUMENTS, seed=1).eval()
    with torch.no_grad():
        # Half precision on disk moves a logit by little.
        torch.testing.assert_close(contents.network(pictures), reference(pictures), atol=2e-2, rtol=2e-2)


def test_logit_adjustment_is_published_in_the_bias_alone(bundle: Path, datalist: Datalist) -> None:
    balanced = (_item("d", label="bacterial"), _item("e", label="normal"), _item("f", label="normal"))
    counted = datalist.with_sections(training=datalist.training + balanced)
    published = []
    for tau in (0.0, 1.0):
        settings = {**SETTINGS, "loss": {"name": "cross_entropy", "logit_adjustment": tau}}
        _publish(bundle, _best(1), counted, settings)
        published.append(load_weights(bundle / "models" / "model.pt")[0].state_dict())
    plain, adjusted = published
    assert [name for name in plain if not torch.equal(plain[name], adjusted[name])] == ["head.bias"]
    # Three normal, one bacterial, one viral; "pneumonia" counts for none.
    priors = torch.tensor([3 / 5, 1 / 5, 1 / 5])
    torch.testing.assert_close(adjusted["head.bias"], plain["head.bias"] - priors.log())


class _Outlined(_Pictures):
    """The same pictures, each with the same outline."""

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        outline = torch.zeros(1, 64, 64)
        outline[:, 16:32, 16:32] = 1.0
        return {**super().__getitem__(index), "outline": outline, "outline_kind": torch.tensor(int(OutlineKind.PIXEL))}


@pytest.mark.parametrize(("weight", "fitted"), [(1.0, True), (0.0, False)])
def test_a_supervised_attention_map_gets_its_lesion_threshold(bundle: Path, datalist: Datalist, weight: float, fitted: bool) -> None:
    outlined = datalist.with_sections(training=(*datalist.training, _item("d", label="viral", mask="d.png", mask_kind="pixel")))
    settings = {**SETTINGS, "attention": {"enabled": True, "weight": weight}}
    _publish(bundle, _best(1), outlined, settings, DataLoader(_Outlined(), batch_size=2))
    contents = read_bundle(bundle)
    assert contents.description.attention_supervised == fitted
    assert ("lesion_threshold" in contents.calibration.fitted_on) == fitted
    if fitted:
        assert "5 validation pictures with pixel outlines" in contents.calibration.fitted_on["lesion_threshold"]


def test_licences_travel_and_patients_stay(bundle: Path, datalist: Datalist) -> None:
    _publish(bundle, _best(1), datalist)
    notice = (bundle / "models" / "DATA.md").read_text()
    assert "| north | 2 |" in notice
    assert "| CC BY-NC 4.0 | 1 |" in notice
    assert "non-commercial use" in notice
    assert "no licence is known" in notice
    assert "Research use only" in notice
    told = notice + json.dumps(dict(load_weights(bundle / "models" / "model.pt")[1].training))
    assert "Doe" not in told
    assert "Major" not in told


def test_earlier_weights_are_kept_once(bundle: Path, datalist: Datalist) -> None:
    _publish(bundle, _best(1), datalist)
    first = file_sha256(bundle / "models" / "model.pt")
    _publish(bundle, _best(1), datalist)
    assert not (bundle / "models" / "model.previous.pt").exists()
    _publish(bundle, _best(2), datalist)
    assert file_sha256(bundle / "models" / "model.previous.pt") == first
    assert file_sha256(bundle / "models" / "model.pt") != first
    read_bundle(bundle)
    assert not list(bundle.rglob("*.new.pt"))
    assert not list(bundle.rglob("*.unfinished"))


def test_metadata_that_fits_is_left_alone(bundle: Path, datalist: Datalist) -> None:
    _publish(bundle, _best(1), datalist)
    file = bundle / "configs" / "metadata.json"
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    _publish(bundle, _best(2), datalist)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_without_a_validated_epoch_nothing_is_published(bundle: Path, datalist: Datalist, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _publish(bundle, _best(1, evaluated=False), datalist)
    assert ended.value.code == 2
    assert "`val_interval`" in capsys.readouterr().err
    assert not list(bundle.rglob("*.pt"))


def test_a_run_is_described_by_counts(datalist: Datalist) -> None:
    told = describe_run(datalist, str(datalist.root / "datalist.json"), SETTINGS)
    assert told["items"] == {"training": 3, "validation": 1}
    assert told["sources"] == {"north": 2, "unknown": 1}
    assert told["licenses"] == {"CC0": 1, "CC BY-NC 4.0": 1, "unknown": 1}
    assert len(told["datalist_sha256"]) == 64


def test_logits_of_a_loader_are_those_of_its_pictures() -> None:
    network = build_training_network(ARGUMENTS, seed=1)
    network.train()
    logits, candidates = predict_logits(network, LOADER, "cpu")
    assert not network.training
    pictures = torch.stack([_Pictures()[index]["image"] for index in range(5)])
    with torch.no_grad():
        torch.testing.assert_close(logits, network(pictures), atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(candidates, np.eye(3)[[0, 1, 2, 0, 1]])
