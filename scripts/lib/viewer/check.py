"""Stores studies and their results in Orthanc, opens them in OHIF, and checks what is seen.

    python check.py STUDIES RESULTS --tools FOLDER --output FOLDER [--images FOLDER]

STUDIES is what phantom_studies.py wrote, RESULTS what `python deploy_app` made of its input. To be run in a network of its own
(`unshare -n`); scripts/viewer does all that.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from highdicom.seg import Segmentation
from orthanc import Orthanc, running_orthanc
from picture_checks import Place, Verdict, drawn_region, on_the_lesion, polygon_drawn, same_picture, same_region
from PIL import Image
from pydicom.dataset import Dataset

from monai_pneumonia import RESEARCH_USE_ONLY

KINDS = ("sr", "seg", "sc")
# In this order: what one shows would else be left over in the next.
SHOTS = (("image", "CR"), ("regions", "SEG"), ("report", "SR"), ("overlay", "OT"))
LONGEST_LOOK = 900
IMAGE_WIDTH, IMAGE_GREYS, IMAGE_COLOURS = 1024, 128, 64


@dataclass(frozen=True)
class Study:
    """A phantom study, its files and what is true of it."""

    name: str
    uid: str
    files: dict[str, Path]
    picture: np.ndarray
    lesion: np.ndarray

    def read(self, kind: str) -> Dataset:
        """The data set of its ``image``, ``sr``, ``seg`` or ``sc``."""
        return pydicom.dcmread(self.files[kind])


class Account:
    """Prints checks as they are made, and counts them."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.passed = 0

    def add(self, name: str, verdict: Verdict) -> None:
        """Takes down one check."""
        print(f"{'ok    ' if verdict.passed else 'FAILED'}  {name}: {verdict.measured}", flush=True)
        if verdict.passed:
            self.passed += 1
        else:
            self.failed.append(name)


def read_studies(folder: Path, results: Path) -> list[Study]:
    """The studies with the results that belong to them.

    Raises:
        FileNotFoundError: a study has not exactly one result of each kind.
    """
    studies = []
    for entry in json.loads((folder / "studies.json").read_text(encoding="utf-8")):
        files = {"image": folder / entry["image"]}
        for kind in KINDS:
            found = sorted((results / entry["study"]).glob(f"{kind}-*.dcm"))
            if len(found) != 1:
                raise FileNotFoundError(f"{len(found)} files {kind}-*.dcm in {results / entry['study']}, not one: study {entry['name']}")
            files[kind] = found[0]
        picture, lesion = (np.asarray(Image.open(folder / entry[key])) for key in ("picture", "lesion"))
        studies.append(Study(entry["name"], entry["study"], files, picture, lesion > 0))
    return studies


def check_reading(studies: list[Study], account: Account) -> None:
    """dcmtk's dsrdump reads every structured report."""
    for study in studies:
        run = subprocess.run(["dsrdump", str(study.files["sr"])], capture_output=True, text=True, errors="replace", check=False)
        complaints = [line for line in run.stderr.splitlines() if line.startswith(("E:", "F:"))]
        said = "Comprehensive 3D SR Document" in run.stdout and "Research use only" in run.stdout
        measured = "; ".join(complaints) or f"{len(run.stdout.splitlines())} lines"
        account.add(f"{study.name}: dsrdump reads the report", Verdict(run.returncode == 0 and said and not complaints, measured))


def check_storing(server: Orthanc, studies: list[Study], account: Account) -> None:
    """Orthanc takes every object, and finds each in its study."""
    files = [file for study in studies for file in study.files.values()]
    answers = {file.name: server.store(file) for file in files}
    refused = {name: answer for name, answer in answers.items() if answer != "Success"}
    stored = int(server.get("/statistics")["CountInstances"])
    account.add(
        "Orthanc stores every object", Verdict(not refused and stored == len(files), f"{stored} of {len(files)} {refused or ''}".strip())
    )
    for study in studies:
        found = {entry["00080018"]["Value"][0] for entry in server.get(f"/dicom-web/studies/{study.uid}/instances")}
        sent = {str(study.read(kind).SOPInstanceUID) for kind in study.files}
        account.add(f"{study.name}: DICOMweb finds its objects", Verdict(found == sent, f"{len(found & sent)} of {len(sent)}"))


def take_shots(server: Orthanc, studies: list[Study], tools: Path, output: Path, folder: Path) -> list[dict[str, Any]]:
    """Has OHIF show every object. Returns what screenshots.mjs says of its screenshots."""
    job = {
        "dist": str(tools / "ohif" / "dist"),
        "playwright": str(tools / "playwright-core"),
        "chromium": os.environ["CHROMIUM"],
        "orthanc": server.port,
        "output": str(output),
        "studies": [
            {"name": study.name, "study": study.uid, "shots": [{"name": name, "modality": modality} for name, modality in SHOTS]}
            for study in studies
        ],
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    # The browser's own files go to the temporary folder too.
    places = {"HOME": str(folder), "TMPDIR": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    command = ["node", str(Path(__file__).with_name("screenshots.mjs")), str(folder / "job.json")]
    run = subprocess.run(command, env={**os.environ, **places}, timeout=LONGEST_LOOK, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        lines = run.stderr.splitlines()
        said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        raise RuntimeError("; ".join(said or lines[-3:]) or f"node ended with {run.returncode}")
    shots: list[dict[str, Any]] = json.loads((output / "shots.json").read_text(encoding="utf-8"))
    return shots


def check_shots(studies: list[Study], shots: list[dict[str, Any]], output: Path, account: Account) -> None:
    """What is seen is what is stored, where it belongs."""
    for study in studies:
        own = {shot["shot"]: shot for shot in shots if shot["study"] == study.name}
        pages = {name: np.asarray(Image.open(output / shot["file"]).convert("RGB")) for name, shot in own.items()}
        errors = [error for shot in own.values() for error in shot["errors"]]
        account.add(
            f"{study.name}: OHIF opens all objects without an error", Verdict(not errors, "; ".join(errors) or f"{len(own)} opened")
        )
        places = {name: _place(shot["canvas"], study.read("sc" if name == "overlay" else "image")) for name, shot in own.items()}
        image = places["image"].cut(pages["image"])
        account.add(f"{study.name}: the image is shown upright", same_picture(image.mean(axis=-1), study.picture))
        drawn = drawn_region(places["regions"].cut(pages["regions"]), image)
        account.add(f"{study.name}: the regions are shown as stored", same_region(drawn, _stored_regions(study)))
        account.add(f"{study.name}: the regions lie on the lesion", on_the_lesion(drawn, study.lesion))
        if places["report"].square:
            for number, polygon in enumerate(_polygons(study.read("sr")), start=1):
                verdict = polygon_drawn(pages["report"], places["report"].on_page(polygon))
                account.add(f"{study.name}: region {number} of the report is drawn", verdict)
        else:
            print(f"note    {study.name}: the report's outlines are not compared: OHIF draws them beside their place (docs/viewer.md)")
        capture = study.read("sc").pixel_array
        account.add(f"{study.name}: the overlay picture is shown", same_picture(places["overlay"].cut(pages["overlay"]), capture))


def _place(canvas: dict[str, float], dataset: Dataset) -> Place:
    spacing = dataset.get("PixelSpacing") or (1, 1)
    box = (canvas["x"], canvas["y"], canvas["width"], canvas["height"])
    return Place(box, (dataset.Rows, dataset.Columns), float(spacing[0]) / float(spacing[1]))


def _stored_regions(study: Study) -> np.ndarray:
    segments = Segmentation.from_dataset(study.read("seg"))
    source = str(study.read("image").SOPInstanceUID)
    return np.asarray(segments.get_pixels_by_source_instance([source], combine_segments=True, ignore_spatial_locations=True)[0] > 0)


def _polygons(report: Dataset) -> list[np.ndarray]:
    """The polygons of the regions, [N, 2] of (column, row)."""
    found = []
    for item in report.get("ContentSequence", ()):
        if item.ValueType == "SCOORD" and item.ConceptNameCodeSequence[0].CodeMeaning == "Image Region":
            found.append(np.reshape(item.GraphicData, (-1, 2)))
        found += _polygons(item)
    return found


def keep_images(shots: list[dict[str, Any]], output: Path, folder: Path) -> None:
    """Small copies of the screenshots, for the documentation."""
    folder.mkdir(parents=True, exist_ok=True)
    for shot in shots:
        page = Image.open(output / shot["file"]).convert("RGB")
        small = page.resize((IMAGE_WIDTH, round(page.height * IMAGE_WIDTH / page.width)), Image.Resampling.LANCZOS)
        small.quantize(palette=_palette(small), dither=Image.Dither.NONE).save(folder / f"ohif_{shot['file']}", optimize=True)


def _palette(page: Image.Image) -> Image.Image:
    """Greys and a page's own colours: of these there are few pixels, which would else be lost among the greys."""
    levels = np.asarray(page).reshape(-1, 3)
    coloured = levels[np.ptp(levels.astype(int), axis=1) > 24]
    chosen = Image.fromarray(coloured[None]).quantize(IMAGE_COLOURS).getpalette() or []
    greys = np.repeat(np.linspace(0, 255, IMAGE_GREYS).round().astype(int), 3)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*chosen[: 3 * IMAGE_COLOURS], *greys.tolist()])
    return palette


def end_descendants() -> None:
    """Kills whatever a broken browser left: this process inherits its children (see main)."""
    while True:
        children = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
        if not children:
            return
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def absolute(path: str) -> Path:
    """A path that other programs find too."""
    return Path(path).resolve()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=absolute)
    parser.add_argument("results", type=absolute)
    parser.add_argument("--tools", type=absolute, required=True, help="folder with ohif/dist and playwright-core")
    parser.add_argument("--output", type=absolute, required=True, help="where the screenshots go")
    parser.add_argument("--images", type=absolute, help="where small copies of them go")
    options = parser.parse_args()
    # Signals unwind what was begun, and orphans of this process become its children (PR_SET_CHILD_SUBREAPER).
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    options.output.mkdir(parents=True, exist_ok=True)
    account = Account()
    try:
        studies = read_studies(options.studies, options.results)
        check_reading(studies, account)
        with tempfile.TemporaryDirectory(prefix="viewer-", ignore_cleanup_errors=True) as name:
            try:
                with running_orthanc(Path(name)) as server:
                    check_storing(server, studies, account)
                    shots = take_shots(server, studies, options.tools, options.output, Path(name))
            finally:
                end_descendants()
        check_shots(studies, shots, options.output, account)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.images:
        keep_images(shots, options.output, options.images)
    print(f"{account.passed} checks passed, {len(account.failed)} failed; screenshots in {options.output}. {RESEARCH_USE_ONLY}")
    return 1 if account.failed else 0


if __name__ == "__main__":
    sys.exit(main())
