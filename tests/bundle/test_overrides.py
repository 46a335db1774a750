"""The keys that users and evaluations override: they exist, and they act."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bundle_runs import BUNDLE, SMALL, bundle_command, run_here
from monai.bundle import ConfigParser

from monai_pneumonia.engines import build_training_network
from monai_pneumonia.inference.weights import load_weights

CONTRACT = (
    *("datalist_path", "backbone", "input_size", "resize_mode", "pretrained_encoder", "label_fraction", "fold", "seed", "loss#name"),
    *("loss#beta", "attention#enabled", "attention#weight", "regulation#enabled", "regulation#weight", "ema_decay", "output_dir"),
    *("max_epochs", "batch_size"),
)


def _words(overrides: dict[str, str]) -> list[str]:
    return [word for key, value in overrides.items() for word in (f"--{key}", value)]


def test_train_has_the_keys_of_the_contract() -> None:
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLE / "configs" / "train.yaml"))
    assert [key for key in CONTRACT if key not in parser] == []
    # Paths are no settings of the network; all else is compared at a resume and kept with the weights.
    assert [key for key in CONTRACT if key.split("#")[0] not in parser["settings"]] == ["datalist_path", "output_dir"]


@pytest.mark.slow
def test_overrides_act_together(bundle: Path, phantom_datalist: Path) -> None:
    donor = build_training_network({"backbone": "efficientnet-b0", "num_classes": 4}, seed=5)
    torch.save({"encoder": donor.encoder.state_dict()}, bundle / "encoder.pt")
    overrides = {
        "datalist_path": str(phantom_datalist),
        "output_dir": "../elsewhere",
        "pretrained_encoder": "encoder.pt",
        "resize_mode": "pad",
        "input_size": "96",
        "label_fraction": "0.9",
        "fold": "1",
        "n_folds": "3",
        "seed": "3",
        "loss#name": "class_balanced_focal",
        "loss#beta": "0.99",
        "attention#enabled": "False",
        "ema_decay": "0",
        "max_epochs": "1",
        "batch_size": "16",
        "accumulation_steps": "2",
        "learning_rate": "1.0e-09",
    }
    run_here(bundle, bundle_command("configs/train.yaml", *SMALL, *_words(overrides)))
    network, description = load_weights(bundle / "models" / "model.pt")
    assert network.attention_head is None
    assert (description.resize_mode, description.input_size, description.output_activation) == ("pad", 96, "sigmoid")
    settings = description.training["settings"]
    for key in CONTRACT:
        if key in overrides and key not in ("datalist_path", "output_dir"):
            assert str(settings[key]) in (overrides[key], str(float(overrides[key]) if overrides[key].isdigit() else None)), key
    items = description.training["items"]
    assert items["training"] + items["validation"] == 34
    assert 9 <= items["validation"] <= 14
    # With next to no learning rate the encoder is still the one that was given; weights are stored in half precision.
    name = "encoder.network._conv_stem.weight"
    torch.testing.assert_close(network.state_dict()[name], donor.state_dict()[name].half().float())
    assert (bundle.parent / "elsewhere" / "checkpoints" / "last.pt").is_file()


@pytest.mark.slow
def test_a_second_loss_and_a_second_seed_give_other_weights(trained_bundle: Path, bundle: Path, phantom_datalist: Path) -> None:
    overrides = {"datalist_path": str(phantom_datalist), "output_dir": "../output", "max_epochs": "1", "seed": "1"}
    run_here(bundle, bundle_command("configs/train.yaml", *SMALL, *_words(overrides), "--loss#name", "class_balanced_softmax"))
    network, description = load_weights(bundle / "models" / "model.pt")
    assert description.output_activation == "softmax"
    assert network.attention_head is not None
    other = load_weights(trained_bundle / "models" / "model.pt")[0].state_dict()
    assert not torch.equal(network.state_dict()["head.weight"], other["head.weight"])
