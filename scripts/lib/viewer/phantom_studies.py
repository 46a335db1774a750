"""Writes the studies to look at: phantoms as CR files whose lesion lies in one corner of the chest, and what is truly there.

    python phantom_studies.py FOLDER

FOLDER/input/<name>.dcm is a study of one image; FOLDER/truth/<name>.png is the picture as it must look, upright, and
FOLDER/truth/<name>_lesion.png its lesion. FOLDER/studies.json lists the studies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from picture_checks import likest_other_pose
from PIL import Image
from pydicom import dcmread

from monai_pneumonia.data.phantoms import Phantom, PhantomSettings, generate_phantom
from monai_pneumonia.data.phantoms.dicom import form_of, write_dicom
from monai_pneumonia.data.phantoms.plan import PlannedItem, plan_items
from monai_pneumonia.data.phantoms.write import to_bytes

TRANSFER_SYNTAX = "explicit"
# Other pictures than those that the bundle for this check learns from: another seed.
SETTINGS = PhantomSettings(count=200, size=512, seed=99, image_format="dicom", transfer_syntax=TRANSFER_SYNTAX, lesion_contrast=1.4)


# How much a lesion may overlap itself in another pose, so that a region that is mirrored, turned or transposed is seen to be.
MOST_SYMMETRY = 0.2


@dataclass(frozen=True)
class Wanted:
    """A study to find in the plan.

    Attributes:
        name: of its files; the side is the patient's.
        photometric: how its pixels are stored.
        square: whether a pixel is as wide as high.
        place: whether a lesion lies where it should: a function of its rows and columns as shares of height and width.
    """

    name: str
    photometric: str
    square: bool
    place: Callable[[np.ndarray, np.ndarray], bool]


WANTED = (
    Wanted("right_lower", "MONOCHROME2", True, lambda rows, columns: bool(columns.max() < 0.5 and rows.mean() > 0.55)),
    Wanted("left_lower", "MONOCHROME1", True, lambda rows, columns: bool(columns.min() > 0.5 and rows.mean() > 0.55)),
    Wanted("left_upper", "MONOCHROME1", False, lambda rows, columns: bool(columns.min() > 0.5 and rows.mean() < 0.45)),
)


def one_sided(wanted: Wanted) -> tuple[PlannedItem, Phantom]:
    """The first CR phantom of the plan whose lesion lies where it is wanted, and nowhere near in any other pose."""
    for item, phantom in _candidates(wanted):
        rows, columns = np.nonzero(phantom.outline)
        height, width = phantom.outline.shape
        _, symmetry = likest_other_pose(phantom.outline, phantom.outline)
        if wanted.place((rows + 0.5) / height, (columns + 0.5) / width) and symmetry < MOST_SYMMETRY:
            return item, phantom
    raise SystemExit(f"error: no phantom of the plan has a lesion at {wanted.name}: change SETTINGS in {__file__}")


def _candidates(wanted: Wanted) -> Iterator[tuple[PlannedItem, Phantom]]:
    for item in plan_items(SETTINGS):
        form = form_of(item.index, TRANSFER_SYNTAX)
        alike = form.modality == "CR" and form.photometric == wanted.photometric and item.spec.hospital.squashed != wanted.square
        if alike and item.spec.finding == "bacterial":
            phantom = generate_phantom(item.spec)
            if phantom.outline.any():
                yield item, phantom


def write_studies(folder: Path) -> list[dict[str, str]]:
    """Writes images, pictures, lesions and the list of studies; returns the list."""
    for name in ("input", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    studies = []
    for wanted in WANTED:
        item, phantom = one_sided(wanted)
        files = {"image": f"input/{wanted.name}.dcm", "picture": f"truth/{wanted.name}.png", "lesion": f"truth/{wanted.name}_lesion.png"}
        write_dicom(folder / files["image"], phantom, item, TRANSFER_SYNTAX)
        Image.fromarray(to_bytes(phantom)).save(folder / files["picture"])
        Image.fromarray(phantom.outline.astype(np.uint8) * 255).save(folder / files["lesion"])
        study = str(dcmread(folder / files["image"], stop_before_pixels=True).StudyInstanceUID)
        studies.append({"name": wanted.name, "study": study, **files})
    (folder / "studies.json").write_text(json.dumps(studies, indent=1) + "\n", encoding="utf-8")
    return studies


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for entry in write_studies(Path(sys.argv[1])):
        print(f"study {entry['name']}: {entry['image']}")
