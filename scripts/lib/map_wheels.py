"""Wheels for the container: fetches those of a requirement list, or writes the list itself, with exact versions and hashes.

The build of the container takes its Python packages from a folder of wheels, fetched here by this machine's pip with whatever mirror,
proxy or certificate it is configured with; nothing of that enters the image.

    python scripts/lib/map_wheels.py fetch cpu build/map/wheels-cpu     # what the lists name, each checked against its hash
    python scripts/lib/map_wheels.py lock                               # after a change of requirements/deploy.txt
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "deploy_app" / "container"
VERSIONS = ROOT / "requirements" / "deploy.txt"
FLAVOURS = {
    "cpu": ("requirements", "requirements-cpu", "requirements-build"),
    "cuda": ("requirements", "requirements-cuda", "requirements-build"),
}

# The container's Python and C library (Debian 12: 2.36), whatever runs here.
PYTHON = "3.11"
NEWEST_GLIBC = 36
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(NEWEST_GLIBC, 4, -1)] + [
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
]


def pip_download(folder: Path, *options: str) -> None:
    """Runs pip download for the container's platform; pip's own message tells what could not be had."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    command += ["--python-version", PYTHON, "--implementation", "cp", *platforms, *options]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    complaints = [line for line in result.stderr.splitlines() if not line.startswith("WARNING: Location")]
    if result.returncode:
        sys.exit(
            "\n".join([*complaints, "error: pip could not fetch the container's packages; see above (mirrors: pip config, PIP_INDEX_URL)"])
        )


def fetch(flavour: str, folder: Path) -> None:
    """Fetches the wheels of a flavour; one whose list has not changed since is there already."""
    lists = [LISTS / f"{name}.txt" for name in FLAVOURS[flavour]]
    mark = folder / ".fetched"
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in lists)).hexdigest()
    if mark.is_file() and mark.read_text() == wanted:
        print(f"{folder} holds the wheels already")
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-wheels-") as place:
        fetched = Path(place) / folder.name
        for path in lists:
            # Wheels of the earlier list that are still wanted are not downloaded again.
            pip_download(fetched, "--require-hashes", "--find-links", str(folder), "--requirement", str(path))
        (fetched / mark.name).write_text(wanted)
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)
    print(f"fetched {sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.0f} MB of wheels to {folder}")


def wheel_pin(wheel: Path) -> str:
    """A requirement line with version and hash. What stands after a plus sign is a build (+cpu), which another index may leave out."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA"))
        header = HeaderParser().parsestr(archive.read(metadata).decode())
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{header['Name']}=={header['Version'].partition('+')[0]} --hash=sha256:{digest}"


def lock(names: list[str]) -> None:
    """Writes requirements*.txt beside each requirements*.in."""
    for source in sorted(LISTS.glob("requirements*.in")):
        if names and source.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as place:
            pip_download(Path(place), "--constraint", str(VERSIONS), "--requirement", str(source))
            pins = sorted((wheel_pin(wheel) for wheel in Path(place).iterdir()), key=str.lower)
        lines = [f"# Made by scripts/lib/map_wheels.py from {source.name}, for Python {PYTHON} on x86-64.", *pins]
        source.with_suffix(".txt").write_text("\n".join(lines) + "\n")
        print(f"{source.with_suffix('.txt').name}: {len(pins)} packages")


def main(arguments: list[str]) -> None:
    """Reads the command line."""
    match arguments:
        case ["fetch", flavour, folder] if flavour in FLAVOURS:
            fetch(flavour, Path(folder).resolve())
        case ["lock", *names]:
            lock(names)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
