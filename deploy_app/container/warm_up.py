"""Runs the application on synthetic radiographs of every transfer syntax, in the build stage, and keeps the byte code of what it used.

A container with a read-only root cannot keep byte code: without any, each start takes seconds longer; with all of it, the image is larger
than need be. The run also proves that slimming has removed nothing that is needed: a picture that is not served fails the build.

python warm_up.py APPLICATION MODEL KEPT TOOLS
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PICTURES = 16


def run_application(application: Path, model: Path, folder: Path) -> None:
    """Analyses synthetic radiographs; every one must be served."""
    from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms

    pictures = write_phantoms(folder / "phantoms", PhantomSettings(count=PICTURES, size=96, image_format="dicom")).folder / "images"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["MONAI_PNEUMONIA_TRACEBACK"] = "1"
    command = [sys.executable, str(application), "-i", str(pictures), "-o", str(folder / "output"), "-m", str(model)]
    for options in (["--help"], command[2:]):
        subprocess.run([*command[:2], *options], check=True, env=environment, stdout=subprocess.DEVNULL)
    counts = json.loads((folder / "output" / "report.json").read_text())["counts"]
    if counts["served"] != PICTURES:
        sys.exit(f"error: of {PICTURES} synthetic radiographs {counts['served']} were served: {counts}")


def keep_byte_code(roots: list[Path], library: Path, kept: Path, since: float) -> int:
    """Makes byte code written since then independent of file times; that of the standard library is copied to ``kept``, path and all.

    The official Python images have no byte code for the standard library; Debian's Python has, and keeps its own.
    """
    count = 0
    for root in [*roots, library]:
        for compiled in root.rglob("__pycache__/*.pyc"):
            source = compiled.parent.parent / f"{compiled.name.partition('.')[0]}.py"
            if not source.is_file() or compiled.stat().st_mtime < since:
                continue
            # PEP 552: four bytes of version, four of flags, then time and size of the source, or its hash; 1 is an unchecked hash.
            content = compiled.read_bytes()
            header = content[:4] + (1).to_bytes(4, "little") + importlib.util.source_hash(source.read_bytes())
            compiled.write_bytes(header + content[16:])
            count += 1
            if root == library:
                copy = kept / compiled.relative_to("/")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(compiled, copy)
    return count


def main() -> None:
    """Reads the command line."""
    application, model, kept = (Path(argument) for argument in sys.argv[1:4])
    # Making synthetic radiographs needs a package more than serving, and the build's own environment has it.
    sys.path.append(sys.argv[4])
    kept.mkdir(parents=True, exist_ok=True)
    started = time.time()
    with tempfile.TemporaryDirectory() as folder:
        run_application(application, model, Path(folder))
    count = keep_byte_code([Path(sys.prefix), application], Path(os.__file__).parent, kept, started)
    print(f"byte code of {count} modules")


if __name__ == "__main__":
    main()
