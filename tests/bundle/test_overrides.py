"""The keys that users and evaluations override: they exist, and they act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import BUNDLE, SMALL, bundle_command, run_here
from monai.bundle import ConfigParser
from monai.transforms import RandFlipd, RandGaussianNoise, RandGaussianNoised

from monai_pneumonia.engines import OutlinedSampler, build_training_network
from monai_pneumonia.inference.weights import load_weights
from monai_pneumonia.transforms.contrastive_views import RandomCrop

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


def _parsed(name: str, datalist: Path, folder: Path, **overrides: Any) -> ConfigParser:
    """A configuration with overrides whose nested keys are written with two underscores; nothing of it is made yet."""
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLE / "configs" / name))
    given = {"bundle_root": str(BUNDLE), "datalist_path": str(datalist), "output_dir": str(folder), "device": "cpu", **overrides}
    parser.update({key.replace("__", "#"): value for key, value in given.items()})
    return parser


def _only(transforms: Any, kind: type) -> Any:
    (found,) = (transform for transform in transforms.transforms if isinstance(transform, kind))
    return found


def test_the_keys_of_the_method_and_of_its_controls_reach_the_training(phantom_datalist: Path, tmp_path: Path) -> None:
    """No default among them, so that a key that is cut from its place shows."""
    parser = _parsed(
        *("train.yaml", phantom_datalist, tmp_path),
        backbone="resnet10",
        batch_size=8,
        attention__guided=True,
        attention__weight=0.7,
        attention__outlined_share=0.25,
        attention__decoy_share=0.9,
        attention__unoutlined_weight=0.3,
        attention__shuffled_outlines=True,
        regulation__enabled=True,
        regulation__weight=0.4,
        regulation__warmup=0.1,
        regulation__temperature=0.6,
        horizontal_flip=0.15,
        augmentation_strength=0.5,
    )
    guide, loss = parser.get_parsed_content("train#guide"), parser.get_parsed_content("train#loss_function")
    assert (guide.guided, guide.decoy_share, guide.shuffled) == (True, 0.9, True)
    assert (loss.attention_weight, loss.attention.unoutlined_weight) == (0.7, 0.3)
    assert (loss.regulation_weight, loss.regulation_warmup, loss.regulation.loss.temperature) == (0.4, 0.1, 0.6)
    sampler = parser.get_parsed_content("train#sampler")
    assert isinstance(sampler, OutlinedSampler)
    assert sampler.quotas[0] == 2
    augmentation = parser.get_parsed_content("train#dataset").augmentation
    assert _only(augmentation, RandFlipd).prob == 0.15
    assert _only(augmentation, RandGaussianNoised).prob == pytest.approx(0.5 * 0.3)


def test_the_keys_of_pretraining_reach_it(phantom_datalist: Path, tmp_path: Path) -> None:
    parser = _parsed(
        *("pretrain.yaml", phantom_datalist, tmp_path),
        backbone="resnet10",
        temperature=0.3,
        momentum=0.7,
        queue_size=24,
        projection_channels=16,
        horizontal_flip=0.15,
        augmentation_strength=0.5,
    )
    network = parser.get_parsed_content("network_def")
    assert (network.momentum, tuple(network.queue.shape)) == (0.7, (24, 16))
    assert parser.get_parsed_content("train#loss_function").loss.temperature == 0.3
    view = parser.get_parsed_content("train#dataset").augmentation.transforms[0].view
    assert _only(view, RandomCrop).horizontal_flip == 0.15
    assert _only(view, RandGaussianNoise).prob == pytest.approx(0.5 * 0.3)


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
