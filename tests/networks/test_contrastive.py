"""SimCLR's and MoCo's networks: features, momentum network, queue."""

from __future__ import annotations

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from monai_pneumonia.errors import UsageError
from monai_pneumonia.networks import MoCoNet, SimCLRNet, backbone_names
from monai_pneumonia.networks.contrastive import EMPTY_SLOT, MomentumFeatures, ProjectionHead, ViewFeatures

SMALL = {"backbone": "efficientnet-b0", "projection_channels": 16}


def _pictures(count: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.rand(2, count, 1, 64, 64, generator=torch.Generator().manual_seed(seed))
    return first, second


@pytest.fixture(scope="module")
def queue_only() -> MoCoNet:
    """A network whose queue holds five keys of 16 channels; tests may change it."""
    return MoCoNet(**SMALL, queue_size=5)


@pytest.mark.parametrize("backbone", backbone_names())
def test_every_backbone_is_projected_to_unit_length_with_gradients_everywhere(backbone: str) -> None:
    network = SimCLRNet(backbone, projection_channels=8)
    output = network(*_pictures(2))
    assert isinstance(output, ViewFeatures)
    for features in output:
        assert features.shape == (2, 8)
        torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    (output.first - output.second).pow(2).sum().backward()
    # Distributed training waits for the gradient of every parameter.
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_the_head_is_a_perceptron_of_two_layers() -> None:
    head = ProjectionHead(12, 5, hidden_channels=7)
    assert [tuple(value.shape) for value in head.parameters()] == [(7, 12), (7,), (7,), (5, 7), (5,)]


def test_views_of_one_batch_share_their_statistics() -> None:
    """Both views go through the network together, so one view's features depend on the other in training only."""
    network = SimCLRNet(**SMALL)
    first, second = _pictures()
    network.eval()
    torch.testing.assert_close(network(first, second).first, network(first))


def test_group_normalization_never_mixes_pictures() -> None:
    network = MoCoNet(**{**SMALL, "backbone": "resnet18"}, queue_size=4, normalization="group")
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())
    first, second = _pictures()
    together = network(first, second)
    torch.testing.assert_close(network(first[:1], second[:1]).queries, together.queries[:1], atol=1e-5, rtol=0)


def test_keys_come_from_the_momentum_network_without_gradient() -> None:
    network = MoCoNet(**SMALL, queue_size=4).train()
    first, second = _pictures()
    output = network(first, second)
    assert isinstance(output, MomentumFeatures)
    assert output.queries.requires_grad
    assert not output.keys.requires_grad
    assert not any(value.requires_grad for value in network.key.parameters())
    output.queries.sum().backward()
    assert [name for name, value in network.query.named_parameters() if value.grad is None] == []


def test_a_key_tells_nothing_of_its_batch() -> None:
    """The momentum network runs in evaluation mode, also in training."""
    network = MoCoNet(**SMALL, queue_size=4).train()
    assert network.query.training
    assert not any(part.training for part in network.key.modules())
    first, second = _pictures()
    torch.testing.assert_close(network(first, second).keys[:1], network(first, second[:1]).keys, atol=1e-5, rtol=1e-5)


def test_parameters_and_running_statistics_follow_the_momentum() -> None:
    network = MoCoNet(**SMALL, queue_size=4, momentum=0.5).train()
    expected = {name: value.clone() for name, value in network.key.state_dict().items()}
    for step in range(12):
        first, second = _pictures(seed=step)
        output = network(first, second)
        with torch.no_grad():
            for value in network.query.parameters():
                value.add_(0.01 * torch.randn(value.shape, generator=torch.Generator().manual_seed(step)))
        network.step_completed(output.keys, torch.arange(4))
        # From t / (t + 10), 0 at first, up to the momentum itself at step 10.
        momentum = min(0.5, step / (step + 10))
        for name, value in network.query.state_dict().items():
            if value.is_floating_point():
                expected[name] = momentum * expected[name] + (1 - momentum) * value
            else:
                expected[name] = value.clone()
    statistics = [name for name in expected if name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert len(statistics) > 10
    for name, value in network.key.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
    assert int(network.steps) == 12


def test_the_first_step_makes_both_networks_one() -> None:
    network = MoCoNet(**SMALL, queue_size=4)
    with torch.no_grad():
        for value in network.query.parameters():
            value.mul_(2.0)
    network.step_completed(torch.zeros(1, 16), torch.zeros(1, dtype=torch.int64))
    assert all(torch.equal(value, network.query.state_dict()[name]) for name, value in network.key.state_dict().items())


@settings(deadline=None, max_examples=50)
@given(batches=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_the_queue_holds_the_last_keys(queue_only: MoCoNet, batches: list[int]) -> None:
    queue_only.queue.zero_()
    queue_only.queue_patients.fill_(EMPTY_SLOT)
    queue_only.position.zero_()
    last: deque[int] = deque(maxlen=5)
    given_so_far = 0
    for count in batches:
        codes = torch.arange(given_so_far, given_so_far + count)
        queue_only.enqueue(codes[:, None].expand(-1, 16).float(), codes)
        last.extend(codes.tolist())
        given_so_far += count
    full = queue_only.queue_patients != EMPTY_SLOT
    assert sorted(queue_only.queue_patients[full].tolist()) == sorted(last)
    assert torch.equal(queue_only.queue[full], queue_only.queue_patients[full][:, None].expand(-1, 16).float())
    assert int(queue_only.position) == given_so_far % 5


def test_the_state_resumes_queue_and_momentum() -> None:
    network, other = MoCoNet(**SMALL, queue_size=4), MoCoNet(**SMALL, queue_size=4)
    network.step_completed(torch.randn(3, 16), torch.tensor([5, 6, 7]))
    other.load_state_dict(network.state_dict())
    assert other.queue_patients.tolist() == [5, 6, 7, EMPTY_SLOT]
    assert (int(other.position), int(other.steps)) == (3, 1)


@pytest.mark.parametrize(("keys", "patients"), [((3, 15), (3,)), ((3, 16), (4,)), ((16,), (16,))])
def test_keys_of_another_shape_are_refused(queue_only: MoCoNet, keys: tuple, patients: tuple) -> None:
    with pytest.raises(ValueError, match="keys must be"):
        queue_only.enqueue(torch.zeros(keys), torch.zeros(patients))


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": -0.1}, "momentum"),
        ({"queue_size": 0}, "queue_size"),
        ({"normalization": "layer"}, "normalization"),
        ({"backbone": "resnet19"}, "backbone"),
    ],
)
def test_wrong_arguments_name_their_key(arguments: dict, key: str) -> None:
    with pytest.raises(UsageError, match=f"`{key}`"):
        MoCoNet(**arguments)
