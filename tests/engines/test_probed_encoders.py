"""The encoders that probes compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from probe_files import DESCRIPTION, write_encoder
from torch import nn

from monai_pneumonia.engines.probed_encoders import (
    CoarsePixels,
    PooledEncoder,
    extract_features,
    random_encoder,
    read_pretrained_encoder,
)
from monai_pneumonia.errors import ExitCode, ModelFaultError
from monai_pneumonia.networks.backbones import build_backbone


def _pictures(count: int = 4, batches: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(count, 1, 64, 64, generator=generator) for _ in range(batches)]


def test_an_encoder_comes_back_as_it_was_written(tmp_path: Path) -> None:
    encoder = read_pretrained_encoder(write_encoder(tmp_path / "encoder.pt", seed=3))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        backbone = build_backbone("resnet18").eval()
    (picture, *_) = _pictures()
    with torch.no_grad():
        expected = backbone(picture)[-1].flatten(2).mean(dim=2)
        found = encoder.network(picture)
    assert found.shape == (4, 512)
    assert found.dtype == torch.float32
    # Half precision on disk.
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))
    assert not encoder.network.training
    assert (encoder.input_size, encoder.resize_mode) == (64, "stretch")


def test_group_normalization_is_read_and_needs_no_statistics(tmp_path: Path) -> None:
    encoder = read_pretrained_encoder(write_encoder(tmp_path / "encoder.pt", normalization="group"))
    kinds = {type(layer) for layer in encoder.network.modules()}
    assert nn.GroupNorm in kinds
    assert nn.BatchNorm2d not in kinds
    network = random_encoder(encoder.description, iter([]), "cpu")
    assert {type(layer) for layer in network.modules()} == kinds


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"parameters_of": "resnet50"}, "not those of the backbone that its description names, resnet18"),
        ({"normalization": None}, "does not tell normalization"),
        ({"resize_mode": None, "input_size": None}, "does not tell input_size, resize_mode"),
        ({"backbone": "vgg", "parameters_of": "resnet18"}, "unknown backbone 'vgg'"),
        ({"normalization": "layer"}, "normalization layer"),
        ({"input_size": 70}, "input_size 70"),
        ({"input_size": 32}, "input_size 32"),
        ({"input_size": "64"}, "cannot be used"),
        ({"resize_mode": "crop"}, "crop"),
    ],
)
def test_a_file_that_contradicts_itself_is_told(tmp_path: Path, described: dict[str, Any], told: str) -> None:
    file = write_encoder(tmp_path / "encoder.pt", **described)
    with pytest.raises(ModelFaultError, match=told) as raised:
        read_pretrained_encoder(file)
    assert raised.value.exit_code == ExitCode.MODEL_FAULT
    assert "\n" not in str(raised.value)
    assert "encoder.pt" in str(raised.value)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFaultError, match="there is no encoder"):
        read_pretrained_encoder(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(ModelFaultError, match="damaged"):
        read_pretrained_encoder(tmp_path / "text.pt")
    for content in ({"encoder": {}}, {"description": dict(DESCRIPTION)}, [1], {"encoder": {}, "description": "resnet18"}):
        torch.save(content, tmp_path / "part.pt")
        with pytest.raises(ModelFaultError, match="lacks"):
            read_pretrained_encoder(tmp_path / "part.pt")
    torch.save({"encoder": [1, 2], "description": dict(DESCRIPTION)}, tmp_path / "list.pt")
    with pytest.raises(ModelFaultError, match="not those of the backbone"):
        read_pretrained_encoder(tmp_path / "list.pt")


def test_values_that_are_not_finite_are_told(tmp_path: Path) -> None:
    file = write_encoder(tmp_path / "encoder.pt")
    content = torch.load(file, weights_only=True)
    content["encoder"]["stages.0.0.weight"][0, 0, 0, 0] = float("nan")
    torch.save(content, file)
    with pytest.raises(ModelFaultError, match=r"stages\.0\.0\.weight"):
        read_pretrained_encoder(file)


def test_the_random_encoder_has_the_statistics_of_the_training_pictures() -> None:
    pictures = _pictures()
    before = torch.get_rng_state()
    network = random_encoder(DESCRIPTION, iter(pictures), "cpu", seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not network.training
    first = next(layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
    convolution = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    with torch.no_grad():
        activations = convolution(torch.cat(pictures))
    assert first.running_mean is not None
    assert first.running_var is not None
    torch.testing.assert_close(first.running_mean, activations.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(first.running_var, activations.var(dim=(0, 2, 3)), rtol=0.02, atol=1e-5)
    assert float(first.momentum or 0) == pytest.approx(0.1)


def test_the_random_encoder_goes_by_its_seed() -> None:
    first, again, other = (random_encoder(DESCRIPTION, iter(_pictures()), "cpu", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.stages.0.0.weight"], other["backbone.stages.0.0.weight"])


def test_coarse_pixels_are_means() -> None:
    picture = torch.arange(32 * 32, dtype=torch.float32).view(1, 1, 32, 32)
    found = CoarsePixels()(picture).view(16, 16)
    for row, column in ((0, 0), (3, 7), (15, 15)):
        assert float(found[row, column]) == float(picture[0, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean())


def test_features_keep_the_order_of_the_pictures() -> None:
    pictures = _pictures(count=3)
    network = random_encoder(DESCRIPTION, iter(pictures), "cpu")
    features = extract_features({"encoder": network, "pixels": CoarsePixels()}, iter(pictures), "cpu")
    assert {name: values.shape for name, values in features.items()} == {"encoder": (9, 512), "pixels": (9, 256)}
    assert features["encoder"].dtype == np.float64
    with torch.no_grad():
        alone = torch.cat([network(picture[None]) for picture in torch.cat(pictures)])
    np.testing.assert_allclose(features["encoder"], alone.numpy(), rtol=1e-4, atol=1e-5)


def test_features_that_are_not_finite_are_told() -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [torch.full((len(images), 2, 1, 1), float("inf"))]

    with pytest.raises(ModelFaultError, match="pretrained encoder are not finite"):
        extract_features({"pretrained": PooledEncoder(Broken())}, iter(_pictures(batches=1)), "cpu")
