"""Inference runs where ignite is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    asked = []

    def find_spec(self, name, path=None, target=None):
        if name == "ignite" or name.startswith("ignite."):
            Block.asked.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
try:
    import ignite
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("the block does not work")
import numpy as np
from monai_pneumonia.inference import LesionRecognizer
report = LesionRecognizer.from_bundle(sys.argv[1], "cpu")(np.random.default_rng(0).random((40, 50)))
assert report.attention_map.shape == (40, 50)
ours = sorted(name for name in sys.modules if name.startswith("monai_pneumonia"))
assert not [name for name in ours if name.split(".")[1:2] in (["engines"], ["handlers"], ["cli"], ["evaluation"])], ours
print("light")
"""


@pytest.mark.slow
def test_a_report_needs_no_ignite(tiny_bundle: Path) -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM, str(tiny_bundle)], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "light"
