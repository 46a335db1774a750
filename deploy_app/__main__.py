"""``python deploy_app`` and ``python -m deploy_app``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def _end_at_once(number: int, frame: object) -> None:
    os._exit(128 + number)


# Nothing is written before the run hears signals itself. Without a handler, the first process of a container would hear none.
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, _end_at_once)

if not __package__:
    # Run as a folder, Python searches that folder for modules: search beside it instead, so that `deploy_app` itself is found.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from deploy_app.command import main  # noqa: E402

if __name__ == "__main__":
    main()
