"""OutlinedSampler: every batch holds a set share of outlined pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

_OUTLINED, _EMPTY, _UNREAD = range(3)


class OutlinedSampler(Sampler[int]):
    """Fills every batch with a set number of outlined pictures, as many that were read and found empty, and the rest.

    Outlined pictures all have pneumonia; those found empty come from the same hospitals and balance them. Either is
    repeated as often as the share asks for, always the whole pool before any again. Of the others, an epoch sees as many
    as there is room for. A class of its own, for MONAI's DistributedWeightedRandomSampler holds a share on average only
    and draws from a generator that a resumed training would not find again: here the order is a function of (seed, epoch).

    Args:
        mask_kinds: the ``mask_kind`` of each item of the data set.
        batch_size: over all processes together.
        share: of outlined pictures in a batch, in [0, 0.5]; at least one picture where it is above 0.
        seed: of the order.
        num_replicas: number of processes; each gets its part of every batch.
        rank: of this process.

    Raises:
        ValueError: the share is out of range, or there are fewer items than processes.
    """

    def __init__(
        self, mask_kinds: Sequence[str], batch_size: int, share: float, seed: int = 0, num_replicas: int = 1, rank: int = 0
    ) -> None:
        if not 0 <= share <= 0.5 or not mask_kinds:
            raise ValueError(f"share must lie in [0, 0.5] and there must be items, got {share} and {len(mask_kinds)} items")
        if len(mask_kinds) < num_replicas:
            raise ValueError(f"{num_replicas} processes cannot share {len(mask_kinds)} items")
        kinds = np.array([_EMPTY if kind == "empty" else _UNREAD if kind == "unknown" else _OUTLINED for kind in mask_kinds])
        self.pools = [np.flatnonzero(kinds == kind) for kind in (_OUTLINED, _EMPTY, _UNREAD)]
        self.batch_size = min(batch_size, len(kinds) - len(kinds) % num_replicas)
        self.batches = len(kinds) // self.batch_size
        self.quotas = self._quotas(share)
        self.seed = seed
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0

    def _quotas(self, share: float) -> list[int]:
        wanted = max(1, round(share * self.batch_size)) if share else 0
        quotas = [wanted if len(pool) else 0 for pool in self.pools[:2]]
        # A batch of two cannot hold one of each and a rest as well.
        quotas[_EMPTY] = min(quotas[_EMPTY], self.batch_size - quotas[_OUTLINED])
        if not share:
            # Nothing is set: all pictures are one pool.
            self.pools = [self.pools[_OUTLINED][:0], self.pools[_EMPTY][:0], np.arange(sum(len(pool) for pool in self.pools))]
        elif not len(self.pools[_UNREAD]):
            self.pools[_UNREAD] = np.sort(np.concatenate(self.pools[:2]))
        return [*quotas, self.batch_size - sum(quotas)]

    def set_epoch(self, epoch: int) -> None:
        """States the epoch whose order is drawn."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches * self.batch_size // self.num_replicas

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        drawn = [_draw(pool, quota * self.batches, generator) for pool, quota in zip(self.pools, self.quotas, strict=True)]
        for batch in range(self.batches):
            members = [column[batch * quota : (batch + 1) * quota] for column, quota in zip(drawn, self.quotas, strict=True)]
            # Every num_replicas-th, so that each process gets its share of every kind.
            yield from np.concatenate(members)[self.rank :: self.num_replicas].tolist()


def _draw(pool: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draws items, the whole pool in a random order before any again."""
    if count == 0:
        return pool[:0]
    rounds = -(-count // len(pool))
    return np.concatenate([generator.permutation(pool) for _ in range(rounds)])[:count]
