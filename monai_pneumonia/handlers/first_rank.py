"""Handlers that only one of several processes may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine


class OnFirstRank:
    """Builds and attaches a handler on rank 0 alone: two writers of one log would draw every curve twice.

    Args:
        build: makes the handler.
    """

    def __init__(self, build: Callable[[], Any]) -> None:
        self.build = build

    def attach(self, engine: Engine) -> None:
        """Attaches the handler, on rank 0."""
        if idist.get_rank() == 0:
            self.build().attach(engine)
