"""The weights file: what comes back is what was stored, or one message says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_bundle import tiny_description as any_description
from tiny_bundle import tiny_parameters

from monai_pneumonia.errors import ModelFaultError, PneumoniaError
from monai_pneumonia.inference.weights import DESCRIPTION_KEY, WEIGHTS_KEY, file_sha256, load_weights, save_weights


def tiny_description(network: dict[str, object] | None = None, **values):
    """One of the backbone with the fewest weights."""
    return any_description({"backbone": "efficientnet-b0", **(network or {})}, **values)


@pytest.fixture(scope="module")
def parameters() -> dict[str, torch.Tensor]:
    return tiny_parameters(tiny_description())


@pytest.fixture
def weights(tmp_path: Path, parameters: dict[str, torch.Tensor]) -> Path:
    save_weights(tmp_path / "models" / "model.pt", parameters, tiny_description(training={"epochs": 3, "licences": ["CC0"]}))
    return tmp_path / "models" / "model.pt"


def alter(file: Path, change) -> None:
    content = torch.load(file, weights_only=True)
    change(content)
    torch.save(content, file)


def test_weights_and_description_come_back(weights: Path, parameters: dict[str, torch.Tensor]) -> None:
    network, description = load_weights(weights)
    assert description == tiny_description(training={"epochs": 3, "licences": ["CC0"]})
    assert description.notice == "Research use only, not for diagnosis."
    assert not network.training
    for name, value in network.state_dict().items():
        assert value.dtype == parameters[name].dtype
        torch.testing.assert_close(value, parameters[name], rtol=1e-3, atol=1e-6)


def test_matrices_are_stored_in_half_precision_and_vectors_in_single(weights: Path, parameters: dict[str, torch.Tensor]) -> None:
    stored = torch.load(weights, weights_only=True)[WEIGHTS_KEY]
    assert stored["head.weight"].dtype == torch.float16
    assert torch.equal(stored["head.bias"], parameters["head.bias"])
    vectors = [name for name, value in parameters.items() if value.ndim < 2 and value.is_floating_point()]
    assert {stored[name].dtype for name in vectors} == {torch.float32}
    assert weights.stat().st_size < 0.55 * sum(value.numel() * 4 for value in parameters.values())


def test_what_half_precision_cannot_hold_stays_single(tmp_path: Path, parameters: dict[str, torch.Tensor]) -> None:
    large = {**parameters, "head.weight": parameters["head.weight"] * 0 + 1e5}
    save_weights(tmp_path / "model.pt", large, tiny_description())
    assert torch.equal(load_weights(tmp_path / "model.pt")[0].head.weight, large["head.weight"])


def test_the_same_weights_make_the_same_file(tmp_path: Path, weights: Path, parameters: dict[str, torch.Tensor]) -> None:
    again = tmp_path / "again" / "model.pt"
    save_weights(again, parameters, tiny_description(training={"epochs": 3, "licences": ["CC0"]}))
    assert file_sha256(again) == file_sha256(weights)


def test_nothing_unfinished_is_left_and_broken_weights_do_not_replace_good_ones(weights: Path, parameters: dict[str, torch.Tensor]) -> None:
    before = file_sha256(weights)
    with pytest.raises(ValueError, match=r"not finite.*head\.bias"):
        save_weights(weights, {**parameters, "head.bias": torch.full((4,), float("nan"))}, tiny_description())
    with pytest.raises(TypeError, match="JSON"):
        save_weights(weights, parameters, tiny_description(training={"path": Path("here")}))
    assert file_sha256(weights) == before
    assert [file.name for file in weights.parent.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop(WEIGHTS_KEY), "lacks 'model'"),
        (lambda content: content.pop(DESCRIPTION_KEY), "lacks 'model' or 'description'"),
        (lambda content: content[DESCRIPTION_KEY].pop("classes"), "KeyError: 'classes'"),
        (lambda content: content[DESCRIPTION_KEY].update(mystery=1), "mystery"),
        (lambda content: content[DESCRIPTION_KEY].update(output_activation="tanh"), "tanh"),
        (lambda content: content[DESCRIPTION_KEY].update(resize_mode="crop"), "crop"),
        (lambda content: content[DESCRIPTION_KEY].update(input_size=100), "multiple of 32"),
        (lambda content: content[DESCRIPTION_KEY].update(classes=["normal", "ill"]), r"num_classes is 4, but there are 2 classes"),
        (lambda content: content[DESCRIPTION_KEY].update(classes=["normal"] * 4), "distinct"),
        (lambda content: content[DESCRIPTION_KEY]["network"].update(backbone="vgg"), "unknown backbone 'vgg'"),
        (lambda content: content[DESCRIPTION_KEY]["network"].update(depth=3), "depth"),
        (lambda content: content[DESCRIPTION_KEY]["network"].update(backbone="resnet18"), "do not fit the network"),
        (lambda content: content[DESCRIPTION_KEY]["network"].update(feature_channels=32), "of another shape"),
        (lambda content: content[WEIGHTS_KEY].pop("head.bias"), r"missing.*head\.bias"),
        (lambda content: content[WEIGHTS_KEY].update({"head.more": torch.zeros(1)}), r"unknown.*head\.more"),
        (lambda content: content[WEIGHTS_KEY].update({"head.bias": torch.zeros(4) / 0}), r"not finite.*head\.bias"),
        (lambda content: content.update({WEIGHTS_KEY: [1, 2]}), "no table of tensors"),
        (lambda content: content[WEIGHTS_KEY].update({"head.weight": torch.zeros(2, 32), "head.bias": torch.zeros(2)}), "for 2 classes"),
    ],
)
def test_faults_are_named(weights: Path, change, message: str) -> None:
    alter(weights, change)
    with pytest.raises(ModelFaultError, match=message) as caught:
        load_weights(weights)
    assert str(weights) in str(caught.value)


def test_a_missing_damaged_or_foreign_file_is_named(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ModelFaultError, match=r"no weights at .*missing\.pt"):
        load_weights(tmp_path / "missing.pt")
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelFaultError, match="damaged"):
        load_weights(weights)
    torch.save(torch.nn.Linear(2, 2), weights)
    with pytest.raises(ModelFaultError, match="damaged or not a weights-only file"):
        load_weights(weights)
    torch.save([1, 2], weights)
    with pytest.raises(ModelFaultError, match="not written by this project"):
        load_weights(weights)


@pytest.mark.parametrize(
    "values", [{"output_activation": "none"}, {"input_size": 48}, {"resize_mode": "crop"}, {"network": {"num_classes": 3}}]
)
def test_a_description_that_cannot_be_is_refused_when_made(values: dict) -> None:
    with pytest.raises((ValueError, PneumoniaError)):
        tiny_description(**values)


@pytest.mark.parametrize(
    ("settings", "outlines", "supervised"),
    [
        ({"attention#weight": 1.0}, {"pixel": 3, "unknown": 9}, True),
        ({"attention#weight": 1.0}, {"box": 1}, True),
        ({"attention#weight": 1.0}, {"empty": 4, "unknown": 9}, False),
        ({"attention#weight": 0.0}, {"pixel": 3}, False),
        ({"attention#weight": 1.0, "attention#enabled": False}, {"pixel": 3}, False),
        ({"attention#weight": 1.0, "attention#shuffled_outlines": True}, {"pixel": 3}, False),
        ({}, {}, False),
    ],
)
def test_a_map_counts_as_supervised_where_true_outlines_trained_it(settings: dict, outlines: dict, supervised: bool) -> None:
    assert tiny_description(training={"settings": settings, "outlines": outlines}).attention_supervised is supervised
