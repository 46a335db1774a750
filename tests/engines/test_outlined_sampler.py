"""Every batch holds its share of outlined pictures, on every process, in an order of (seed, epoch) alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from monai_pneumonia.engines import OutlinedSampler

SIZES = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 30)).filter(lambda sizes: sum(sizes) > 0)


def kinds_of(outlined: int, empty: int, unread: int) -> list[str]:
    """Pixel outlines and boxes in turn, then the others."""
    return [("pixel", "box")[index % 2] for index in range(outlined)] + ["empty"] * empty + ["unknown"] * unread


def batches_of(sampler: OutlinedSampler, epoch: int = 1) -> list[list[int]]:
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert len(order) == len(sampler)
    size = sampler.batch_size // sampler.num_replicas
    return [order[start : start + size] for start in range(0, len(order), size)]


def test_a_batch_holds_as_many_empties_as_outlined_pictures_and_then_the_rest() -> None:
    kinds = kinds_of(6, 9, 45)
    for batch in batches_of(OutlinedSampler(kinds, 20, 0.2)):
        counts = Counter(kinds[index] for index in batch)
        assert counts["pixel"] + counts["box"] == 4
        assert counts["empty"] == 4
        assert counts["unknown"] == 12


@settings(max_examples=150, deadline=None)
@given(sizes=SIZES, batch_size=st.integers(1, 24), share=st.floats(0, 0.5), seed=st.integers(0, 100), epoch=st.integers(0, 100))
def test_quotas_are_exact_in_every_batch(sizes: tuple[int, int, int], batch_size: int, share: float, seed: int, epoch: int) -> None:
    kinds = kinds_of(*sizes)
    sampler = OutlinedSampler(kinds, batch_size, share, seed)
    size = min(batch_size, len(kinds))
    batches = batches_of(sampler, epoch)
    assert [len(batch) for batch in batches] == [size] * (len(kinds) // size)
    assert all(0 <= index < len(kinds) for batch in batches for index in batch)
    outlined, empty, unread = sizes
    wanted = max(1, round(share * size)) if share else 0
    for batch in batches:
        counts = Counter("drawn" if kinds[index] in ("pixel", "box") else kinds[index] for index in batch)
        if share and unread:
            assert counts["drawn"] == (wanted if outlined else 0)
            assert counts["empty"] == (min(wanted, size - counts["drawn"]) if empty else 0)
        elif share and outlined:
            assert counts["drawn"] >= wanted


@settings(max_examples=100, deadline=None)
@given(sizes=SIZES, batch_size=st.integers(1, 24), share=st.floats(0.01, 0.5), epoch=st.integers(0, 20))
def test_a_pool_is_exhausted_before_any_of_it_comes_again(sizes: tuple[int, int, int], batch_size: int, share: float, epoch: int) -> None:
    kinds = kinds_of(*sizes)
    order = [index for batch in batches_of(OutlinedSampler(kinds, batch_size, share), epoch) for index in batch]
    if sizes[2] == 0:
        return  # the rest of a batch then comes from the other pools, in a row of its own
    for pool in (("pixel", "box"), ("empty",), ("unknown",)):
        members = {index for index, kind in enumerate(kinds) if kind in pool}
        drawn = [index for index in order if index in members]
        for start in range(0, len(drawn), max(1, len(members))):
            part = drawn[start : start + len(members)]
            assert len(set(part)) == len(part)


@settings(max_examples=100, deadline=None)
@given(
    sizes=SIZES,
    processes=st.integers(1, 4),
    pictures=st.integers(1, 6),
    share=st.floats(0, 0.5),
    epoch=st.integers(0, 20),
)
def test_processes_share_every_batch_of_one_process(
    sizes: tuple[int, int, int], processes: int, pictures: int, share: float, epoch: int
) -> None:
    kinds = kinds_of(*sizes)
    if len(kinds) < processes:
        return  # refused before the training starts
    batch_size = processes * pictures
    ranks = [batches_of(OutlinedSampler(kinds, batch_size, share, 3, processes, rank), epoch) for rank in range(processes)]
    assert len({(len(batches), *map(len, batches)) for batches in ranks}) == 1
    outlined = [[sum(kinds[index] in ("pixel", "box") for index in batch) for batch in batches] for batches in ranks]
    for counts in zip(*outlined, strict=True):
        # The quota of a batch divided among the processes, one more here and there; the rest holds outlined pictures
        # where no others are.
        assert max(counts) - min(counts) <= 1 or sizes[2] == 0 or share == 0
    if len(kinds) >= batch_size:
        together = batches_of(OutlinedSampler(kinds, batch_size, share, 3), epoch)
        joined = [sorted(index for part in parts for index in part) for parts in zip(*ranks, strict=True)]
        assert joined == [sorted(batch) for batch in together]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    kinds = kinds_of(5, 5, 30)
    orders = {
        (seed, epoch): tuple(map(tuple, batches_of(OutlinedSampler(kinds, 8, 0.25, seed), epoch))) for seed in (0, 1) for epoch in (1, 2)
    }
    assert len(set(orders.values())) == 4
    used = OutlinedSampler(kinds, 8, 0.25, 1)
    batches_of(used, 1)
    assert tuple(map(tuple, batches_of(used, 2))) == orders[1, 2]
    assert tuple(map(tuple, batches_of(used, 2))) == orders[1, 2]


def test_without_a_share_every_picture_comes_once() -> None:
    order = [index for batch in batches_of(OutlinedSampler(kinds_of(3, 4, 9), 4, 0.0)) for index in batch]
    assert sorted(order) == list(range(16))


@pytest.mark.parametrize("sizes", [(0, 6, 10), (6, 0, 10), (0, 0, 16), (16, 0, 0), (0, 16, 0), (8, 8, 0)])
def test_pools_that_are_empty_leave_their_places_to_the_rest(sizes: tuple[int, int, int]) -> None:
    batches = batches_of(OutlinedSampler(kinds_of(*sizes), 8, 0.25))
    assert [len(batch) for batch in batches] == [8] * (sum(sizes) // 8)


@pytest.mark.parametrize(("batch_size", "processes", "length"), [(64, 1, 10), (64, 2, 5), (64, 3, 3), (4, 2, 4)])
def test_a_batch_larger_than_the_data_is_cut_to_it_and_alike_on_all_processes(batch_size: int, processes: int, length: int) -> None:
    kinds = kinds_of(2, 2, 6)
    assert {len(OutlinedSampler(kinds, batch_size, 0.2, 0, processes, rank)) for rank in range(processes)} == {length}


def test_a_loader_cuts_the_order_into_those_batches() -> None:
    kinds = kinds_of(4, 4, 17)
    sampler = OutlinedSampler(kinds, 8, 0.25)
    sampler.set_epoch(1)
    loader: DataLoader[int] = DataLoader(list(range(len(kinds))), batch_size=8, sampler=sampler, drop_last=True)  # type: ignore[arg-type]
    assert [batch.tolist() for batch in loader] == batches_of(sampler)
    assert len(loader) == 3


@pytest.mark.parametrize(("kinds", "share"), [([], 0.2), (["pixel"], -0.1), (["pixel"], 0.6), (["pixel"], float("nan"))])
def test_what_cannot_be_sampled_raises(kinds: list[str], share: float) -> None:
    with pytest.raises(ValueError, match="share must lie"):
        OutlinedSampler(kinds, 4, share)


def test_more_processes_than_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="2 processes cannot share 1 items"):
        OutlinedSampler(["pixel"], 2, 0.5, num_replicas=2)
