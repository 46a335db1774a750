"""Maps of networks with and without attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_bundle import tiny_description, tiny_parameters

from monai_pneumonia.inference import LesionRecognizer
from monai_pneumonia.inference.maps import attention_maps, class_activation
from monai_pneumonia.networks.probabilities import class_probabilities


def plain_recognizer(**values) -> LesionRecognizer:
    """One of a network without attention."""
    description = tiny_description({"attention": False}, **values)
    network = description.build_network()
    network.load_state_dict(tiny_parameters(description))
    return LesionRecognizer(network, description, device="cpu")


def plain_enlargement(values: np.ndarray, size: int) -> np.ndarray:
    """Linear interpolation between the centres of cells, constant beyond the outermost."""
    cells = len(values)
    places = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    rows = np.stack([np.interp(places, range(cells), values[:, column]) for column in range(cells)], axis=1)
    return np.stack([np.interp(places, range(cells), row) for row in rows])


def test_attention_is_interpolated_to_the_input() -> None:
    description = tiny_description()
    network = description.build_network().eval()
    with torch.no_grad():
        output = network.explain(torch.rand(2, 1, 64, 64))
        maps, kind = attention_maps(network, output, description, temperature=3.0)
    assert kind == "attention"
    expected = np.stack([plain_enlargement(attention.numpy(), 64) for attention in output.attention[:, 0]])
    np.testing.assert_allclose(maps[:, 0].numpy(), expected, atol=1e-6)


def test_class_activation_is_exact_since_the_head_is_linear() -> None:
    recognizer = plain_recognizer()
    network = recognizer.network
    with torch.no_grad():
        output = network.explain(torch.rand(3, 1, 64, 64))
        places = torch.einsum("cd,bdhw->bchw", network.head.weight, output.features) + network.head.bias[:, None, None]
    torch.testing.assert_close(places.mean(dim=(2, 3)), output.logits, rtol=1e-4, atol=1e-4)
    expected = 1 - places.double().div(1.7).softmax(dim=1)[:, :1]
    maps = class_activation(network, output.features, recognizer.description, 1.7)
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [("normal", "viral", "covid19"), ("viral", "covid19", "normal")])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_class_activation_of_even_features_is_the_pictures_probability(activation: str, classes: tuple[str, ...]) -> None:
    recognizer = plain_recognizer(output_activation=activation, classes=classes)
    features = torch.randn(2, 16, 1, 1).expand(2, 16, 8, 8)
    logits = recognizer.network.head(features.mean(dim=(2, 3)))
    p_pneumonia = 1 - class_probabilities(logits, activation, 2.0)[:, classes.index("normal")]
    maps = class_activation(recognizer.network, features, recognizer.description, 2.0)
    torch.testing.assert_close(maps, p_pneumonia[:, None, None, None].expand(2, 1, 8, 8), rtol=1e-5, atol=1e-6)


def test_a_network_without_attention_gives_a_whole_report() -> None:
    report = plain_recognizer()(np.random.default_rng(0).random((90, 70)))
    assert report.map_kind == "class_activation"
    assert report.attention_map.shape == (90, 70)
    assert 0 <= report.attention_map.min() < report.attention_map.max() <= 1
