"""Prints what the running environment holds as a constraints file: one exact version a line.

.venv/bin/python scripts/lib/pins.py > requirements/core.txt
"""

from __future__ import annotations

import sys
from email.message import Message
from importlib import metadata
from typing import cast

from packaging.specifiers import SpecifierSet
from packaging.version import Version

LOWEST_PYTHON = (3, 10)
NOT_PINNED = {"monai-pneumonia", "pip", "wheel"}


def pin(distribution: metadata.Distribution) -> str:
    """The constraint for one package, with a marker where its version does not install on every Python that we support."""
    header = cast(Message, distribution.metadata)
    name = header["Name"]
    # What stands after the plus sign is a build (+cpu), which the machine decides.
    line = f"{name}=={Version(distribution.version).public}"
    needs = SpecifierSet(header.get("Requires-Python") or "")
    major, lowest = LOWEST_PYTHON
    fits = [minor for minor in range(lowest, sys.version_info.minor + 1) if needs.contains(f"{major}.{minor}.99")]
    return line if lowest in fits else f'{line}; python_version >= "{major}.{min(fits)}"'


def main() -> None:
    """Prints the pins in the order of their names."""
    print(f"# Constraints, made by scripts/lib/pins.py: tried out together on Python {sys.version_info.major}.{sys.version_info.minor}.")
    pins = {pin(found) for found in metadata.distributions() if found.metadata["Name"].lower() not in NOT_PINNED}
    print("\n".join(sorted(pins, key=str.lower)))


if __name__ == "__main__":
    main()
