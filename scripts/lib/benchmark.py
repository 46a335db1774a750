"""Measures the hospital container as ratios within one run: see scripts/benchmark --help."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import generate_uid

ROOT = Path(__file__).resolve().parents[2]
# As a hospital should run it, and as scripts/map run does.
SEALED = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--ulimit", "stack=33554432"]
PYTHON = "/opt/venv/bin/python"
MODEL = "/opt/holoscan/models/pneumonia_lesion_classification"
COLD_AIM = 2.0
WARM_AIM_MILLISECONDS = 100.0
PHANTOM_SIZE = 1024


@dataclass(frozen=True)
class Start:
    """One start of a container to its end: seconds on the clock, and of processor time inside."""

    wall: float
    cpu: float


def radiographs(folder: Path, count: int) -> str:
    """Fills a folder with radiographs, each a study of its own; says what they are.

    Real ones where MONAI_PNEUMONIA_DATA (or shared/data beside the checkout) has them, else phantoms.
    """
    real = sorted((Path(os.environ.get("MONAI_PNEUMONIA_DATA") or ROOT.parent / "shared" / "data") / "cxr-dicom").glob("*.dcm"))
    if real:
        files = real
    else:
        from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms

        settings = PhantomSettings(count=count, size=PHANTOM_SIZE, image_format="dicom")
        files = sorted((write_phantoms(folder.parent / "phantoms", settings).folder / "images").glob("*.dcm"))
    folder.mkdir()
    for number in range(count):
        dataset = pydicom.dcmread(files[number % len(files)])
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
            generate_uid(entropy_srcs=[str(number), part]) for part in "abc"
        )
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / f"{number:02}.dcm")
    return f"{count} radiographs from {len(files)} {'real files' if real else f'phantoms of {PHANTOM_SIZE} px'}"


def docker(image: str, source: Path, output: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a shell command in the sealed container."""
    mounts = [
        "-v",
        f"{source}:/var/holoscan/input:ro",
        "-v",
        f"{output}:/var/holoscan/output",
        "-v",
        f"{ROOT / 'scripts' / 'lib'}:/benchmark:ro",
    ]
    return subprocess.run(
        ["docker", "run", "--rm", *SEALED, *mounts, "--entrypoint", "sh", image, "-c", *command],
        capture_output=True,
        text=True,
        check=False,
    )


def start(image: str, source: Path, output: Path, command: str) -> Start:
    """Runs a command from docker's start to its end; the shell's `times` tells what processor time it took."""
    began = time.perf_counter()
    done = docker(
        image, source, output, [f"{command} > /dev/null 2> /var/holoscan/output/errors || cat /var/holoscan/output/errors; times"]
    )
    wall = time.perf_counter() - began
    lines = done.stdout.strip().splitlines()
    if done.returncode or len(lines) != 2:
        sys.exit(f"error: {command} failed in the container: {done.stdout}{done.stderr}")
    minutes = [part.rstrip("s").split("m") for part in lines[1].split()]
    return Start(wall, sum(60 * float(parts[0]) + float(parts[1]) for parts in minutes))


def cold_starts(image: str, source: Path, output: Path, runs: int) -> tuple[list[Start], list[Start]]:
    """The application over one study, and one that does nothing, in turn; a first pair, which fills the disk's cache, does not count."""
    application: list[Start] = []
    nothing: list[Start] = []
    for number in range(runs + 1):
        pair = [start(image, source, output, command) for command in ("/var/holoscan/tools", f"{PYTHON} /benchmark/benchmark_nothing.py")]
        print(f"cold {number} of {runs}: application {pair[0].wall:.1f} s, nothing {pair[1].wall:.1f} s", file=sys.stderr)
        if number:
            application.append(pair[0])
            nothing.append(pair[1])
    return application, nothing


def further_images(image: str, source: Path, output: Path, rounds: int) -> list[dict[str, Any]]:
    """Per image and round what serving took, and decoding and forward pass alone, all in one process and thread."""
    # One thread: two that wait for each other on a busy machine would measure the waiting.
    command = f"OMP_NUM_THREADS=1 exec {PYTHON} /benchmark/benchmark_warm.py /var/holoscan/input {MODEL} {rounds}"
    done = docker(image, source, output, [command])
    if done.returncode:
        sys.exit(f"error: the measurement of further images failed: {done.stderr}")
    records: list[dict[str, Any]] = json.loads(done.stdout)
    return records


def summary(application: list[Start], nothing: list[Start], warm: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Medians, on the clock and in processor time: seconds for a start, milliseconds for a further image."""
    figures: dict[str, dict[str, float]] = {}
    for kind in ("wall", "cpu"):
        pairs = [(getattr(one, kind), getattr(other, kind)) for one, other in zip(application, nothing, strict=True)]
        beyond = [record["served"][kind] - record["decoding"][kind] - record["forward"][kind] for record in warm]
        figures[kind] = {
            "application": statistics.median(one for one, _ in pairs),
            "nothing": statistics.median(other for _, other in pairs),
            "ratio": statistics.median(one / other for one, other in pairs),
            **{name: statistics.median(record[name][kind] for record in warm) for name in ("served", "decoding", "forward")},
            "beyond": statistics.median(beyond),
        }
    return figures


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures for people."""
    wall, cpu = figures["wall"], figures["cpu"]
    rows = [("", "on the clock", "processor", "")]
    for name, key, form, aim in (
        ("cold start to results of one study", "application", "{:.2f} s", None),
        ("cold start of an application that does nothing", "nothing", "{:.2f} s", None),
        ("ratio", "ratio", "{:.2f}", COLD_AIM),
        ("a further image, in all", "served", "{:.0f} ms", None),
        ("decoding it", "decoding", "{:.0f} ms", None),
        ("the network's forward pass", "forward", "{:.0f} ms", None),
        ("beyond decoding and forward pass", "beyond", "{:.0f} ms", WARM_AIM_MILLISECONDS),
    ):
        remark = "" if aim is None else f"aim <= {form.format(aim)}: {'met' if wall[key] <= aim else 'missed'} on the clock"
        rows.append((name, form.format(wall[key]), form.format(cpu[key]), remark))
    return "\n".join(f"{name:48}{one:>14}{other:>14}  {remark}".rstrip() for name, one, other, remark in rows)


def load() -> list[float]:
    """The machine's load averages."""
    return [round(value, 2) for value in os.getloadavg()]


def main() -> None:
    """Measures, prints a table, and writes everything measured as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    load_before = load()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        described = radiographs(folder / "many", options.images)
        (folder / "one").mkdir()
        shutil.copyfile(folder / "many" / "00.dcm", folder / "one" / "00.dcm")
        output = folder / "output"
        output.mkdir()
        output.chmod(0o777)
        application, nothing = cold_starts(options.image, folder / "one", output, options.runs)
        warm = further_images(options.image, folder / "many", output, options.runs)
    figures = summary(application, nothing, warm)
    content = {
        "image": options.image,
        "radiographs": described,
        "units": "starts in seconds, further images in milliseconds",
        "cores": os.cpu_count(),
        "load_average_before": load_before,
        "load_average_after": load(),
        **figures,
        "runs": {
            "application": [asdict(entry) for entry in application],
            "nothing": [asdict(entry) for entry in nothing],
            "further_images": warm,
        },
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "benchmark.json").write_text(json.dumps(content, indent=2) + "\n")
    print(f"{described}; {os.cpu_count()} cores, load average {load_before[0]} before and {load()[0]} after\n\n{table(figures)}\n")
    print(f"all measurements: {options.output / 'benchmark.json'}")


if __name__ == "__main__":
    main()
