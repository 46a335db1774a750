"""Outlines as the network's gate in training: whose, how far, and never at inference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_pneumonia.engines import OutlineGuide, build_training_network
from monai_pneumonia.engines.outline_guide import shuffle_outlines
from monai_pneumonia.losses import LesionTarget
from monai_pneumonia.networks import Guidance, LesionAttentionNet
from monai_pneumonia.transforms.outline import OutlineKind

ARGUMENTS = {"backbone": "efficientnet-b0", "num_classes": 4, "normalization": "group", "dropout": 0.0}
KINDS = st.lists(st.sampled_from(list(OutlineKind)), min_size=1, max_size=12)


def some_batch(kinds: list[OutlineKind], size: int = 8) -> dict[str, Any]:
    """Every drawn outline is one of its own: the first pixels, as many as the picture's number and one."""
    outline = torch.zeros(len(kinds), 1, size, size)
    for index, kind in enumerate(kinds):
        if kind in (OutlineKind.PIXEL, OutlineKind.BOX):
            outline[index].view(-1)[: index + 1] = 1.0
    pictures = torch.rand(len(kinds), 1, size, size, generator=torch.Generator().manual_seed(len(kinds)))
    return {
        "image": pictures,
        "target": torch.eye(4)[torch.arange(len(kinds)) % 4],
        "outline": outline,
        "outline_kind": torch.tensor([int(kind) for kind in kinds]),
    }


def guidance_of(guide: OutlineGuide, batch: dict[str, Any]) -> tuple[LesionTarget, Guidance | None]:
    _, target, arguments, keywords = guide(batch, "cpu")
    assert arguments == ()
    return target, keywords.get("guidance")


@pytest.mark.parametrize(("progress", "until", "share"), [(0, 0.5, 1), (0.25, 0.5, 0.5), (0.5, 0.5, 0), (1, 0.5, 0), (0.2, 0.8, 0.75)])
def test_the_share_falls_linearly_to_zero(progress: float, until: float, share: float) -> None:
    guide = OutlineGuide(guided=True, until=until, decoy_share=0.0)
    guide.set_progress(progress)
    _, guidance = guidance_of(guide, some_batch([OutlineKind.PIXEL, OutlineKind.EMPTY]))
    if share == 0:
        assert guidance is None
    else:
        assert guidance is not None
        torch.testing.assert_close(guidance.share.flatten(), torch.tensor([share, 0.0]))


@settings(max_examples=50, deadline=None)
@given(kinds=KINDS, progress=st.floats(0, 0.49), decoys=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 1000))
def test_whose_outline_gates_whom(kinds: list[OutlineKind], progress: float, decoys: float, seed: int) -> None:
    guide = OutlineGuide(guided=True, decoy_share=decoys)
    guide.set_progress(progress)
    batch = some_batch(kinds)
    torch.manual_seed(seed)
    target, guidance = guidance_of(guide, batch)
    drawn = [kind in (OutlineKind.PIXEL, OutlineKind.BOX) for kind in kinds]
    if not any(drawn):
        assert guidance is None
        return
    assert guidance is not None
    assert guidance.share.shape == (len(kinds), 1, 1, 1)
    donors = [row for row, known in zip(batch["outline"], drawn, strict=True) if known]
    for known, outline, share, own in zip(drawn, guidance.outline, guidance.share.flatten().tolist(), batch["outline"], strict=True):
        assert share in (0.0, pytest.approx(guide.outline_share))
        if known:
            assert share > 0
            assert torch.equal(outline, own)
        elif share:
            assert any(torch.equal(outline, donor) for donor in donors)
        if not known and decoys in (0.0, 1.0):
            assert (share > 0) == bool(decoys)
    # What the losses see is left as it is: a decoy teaches the attention map nothing.
    assert torch.equal(target.outline, batch["outline"])
    assert torch.equal(target.kind, batch["outline_kind"])


def test_half_of_the_others_are_gated_by_half_of_the_outlines() -> None:
    torch.manual_seed(0)
    kinds = [OutlineKind.PIXEL] * 10 + [OutlineKind.EMPTY] * 200 + [OutlineKind.UNKNOWN] * 200
    _, guidance = guidance_of(OutlineGuide(guided=True, decoy_share=0.5), some_batch(kinds))
    assert guidance is not None
    gated = guidance.share.flatten()[10:] > 0
    # Four standard deviations of 400 throws are 40.
    assert 160 < int(gated.sum()) < 240
    assert len({int(outline.sum()) for outline in guidance.outline[10:][gated]}) == 10


def test_the_draw_is_that_of_torchs_generator() -> None:
    batch = some_batch([OutlineKind.PIXEL, OutlineKind.BOX, *[OutlineKind.UNKNOWN] * 20])
    guide = OutlineGuide(guided=True)
    shares = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        _, guidance = guidance_of(guide, batch)
        assert guidance is not None
        shares.append(torch.cat([guidance.share.flatten(), guidance.outline.flatten()]))
    assert torch.equal(shares[0], shares[1])
    assert not torch.equal(shares[0], shares[2])


@pytest.mark.parametrize("known", [False, True])
def test_without_guidance_the_network_gets_no_outline_and_the_losses_all_that_is_known(known: bool) -> None:
    batch = some_batch([OutlineKind.PIXEL, OutlineKind.EMPTY])
    if not known:
        batch = {key: batch[key] for key in ("image", "target")}
    images, target, _, keywords = OutlineGuide()(batch, "cpu")
    assert keywords == {}
    assert torch.equal(images, batch["image"])
    assert torch.equal(target.candidates, batch["target"])
    assert target.kind.tolist() == ([3, 1] if known else [0, 0])
    assert target.has_outline.tolist() == [known, False]


@settings(max_examples=50, deadline=None)
@given(kinds=KINDS)
def test_shuffled_outlines_never_land_on_their_own_picture_and_none_is_lost_but_a_single_one(kinds: list[OutlineKind]) -> None:
    before, _ = guidance_of(OutlineGuide(), some_batch(kinds))
    after, _ = guidance_of(OutlineGuide(shuffled=True), some_batch(kinds))
    places = before.has_outline.nonzero()[:, 0].tolist()
    for place in places:
        assert not torch.equal(after.outline[place], before.outline[place])
    pairs = [sorted(zip(t.outline[places].sum(dim=(1, 2, 3)).tolist(), t.kind[places].tolist(), strict=True)) for t in (before, after)]
    if len(places) == 1:
        assert not after.has_outline.any()
        assert after.kind[places[0]] == OutlineKind.UNKNOWN
    else:
        # The kind goes with its outline.
        assert pairs[0] == pairs[1]
        assert torch.equal(after.has_outline, before.has_outline)
    others = [index for index in range(len(kinds)) if index not in places]
    assert (after.kind[others] == int(OutlineKind.UNKNOWN)).all(), "a picture found empty would still teach the truth"
    assert torch.equal(after.candidates, before.candidates)
    assert torch.equal(after.images, before.images)


def test_shuffling_leaves_the_batch_itself_alone() -> None:
    batch = some_batch([OutlineKind.PIXEL, OutlineKind.BOX])
    outline = batch["outline"].clone()
    target, _ = guidance_of(OutlineGuide(), batch)
    shuffle_outlines(target)
    assert torch.equal(batch["outline"], outline)


def test_shuffled_outlines_gate_as_well() -> None:
    batch = some_batch([OutlineKind.PIXEL, OutlineKind.BOX])
    _, guidance = guidance_of(OutlineGuide(guided=True, shuffled=True), batch)
    assert guidance is not None
    assert torch.equal(guidance.outline, batch["outline"].flip(0))


@pytest.fixture(scope="module")
def network() -> LesionAttentionNet:
    built = build_training_network(ARGUMENTS, seed=1)
    for layer in built.modules():
        if hasattr(layer, "drop_connect_rate"):
            layer.drop_connect_rate = 0.0
    return built


@settings(max_examples=12, deadline=None)
@given(kinds=st.lists(st.sampled_from(list(OutlineKind)), min_size=1, max_size=3), progress=st.floats(0.5, 1))
def test_logits_do_not_depend_on_an_outline_in_evaluation_nor_in_training_once_the_share_is_zero(
    network: LesionAttentionNet, kinds: list[OutlineKind], progress: float
) -> None:
    guide = OutlineGuide(guided=True)
    guide.set_progress(progress)
    outlined, bare = some_batch(kinds, 32), some_batch([OutlineKind.UNKNOWN] * len(kinds), 32)
    bare["image"] = outlined["image"]
    logits = []
    for batch in (outlined, bare):
        images, _, _, keywords = guide(batch, "cpu")
        with torch.no_grad():
            logits += [network.train()(images, **keywords).logits, network.eval()(images)]
    assert torch.equal(logits[0], logits[2])
    assert torch.equal(logits[1], logits[3])


def test_evaluation_refuses_what_a_guide_gives(network: LesionAttentionNet) -> None:
    images, _, _, keywords = OutlineGuide(guided=True)(some_batch([OutlineKind.PIXEL], 32), "cpu")
    with pytest.raises(ValueError, match="in training alone"):
        network.eval()(images, **keywords)


@pytest.mark.parametrize("arguments", [{"until": 0.0}, {"until": 1.1}, {"decoy_share": -0.1}, {"decoy_share": 1.1}])
def test_shares_out_of_range_raise(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="until must lie"):
        OutlineGuide(**arguments)
