"""A handler that a configuration defines in another place."""

from __future__ import annotations

from typing import Protocol

from ignite.engine import Engine


class Handler(Protocol):
    """What can be attached to an engine."""

    def attach(self, engine: Engine) -> None:
        """Follows the engine."""
        ...


class Referenced:
    """Attaches a handler that other parts of a configuration refer to as well.

    MONAI's ``check_properties`` looks for ``_target_`` in every item of a handler list, so a bare reference cannot stand there.

    Args:
        handler: e.g. ``@best``.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def attach(self, engine: Engine) -> None:
        """Attaches the handler."""
        self.handler.attach(engine)
