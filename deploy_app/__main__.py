"""``python deploy_app`` and ``python -m deploy_app``."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    # Run as a folder, Python searches that folder for modules: search beside it instead, so that `deploy_app` itself is found.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from deploy_app.command import main

if __name__ == "__main__":
    main()
