"""Writes a data set of phantoms: pictures, outlines, two datalists, and a table of what is truly in each picture."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.datalist import Datalist, DatalistItem, save_datalist
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.data.phantoms.dicom import write_dicom
from monai_pneumonia.data.phantoms.generate import Phantom, generate_phantom
from monai_pneumonia.data.phantoms.plan import PlannedItem, plan_items
from monai_pneumonia.data.phantoms.settings import PhantomSettings
from monai_pneumonia.data.progress import track
from monai_pneumonia.errors import OutputNotWritableError

LICENSE = "CC0-1.0 synthetic"
MANIFEST = "phantoms.json"


@dataclass(frozen=True)
class PhantomFiles:
    """Where a data set of phantoms lies.

    Attributes:
        folder: holds everything.
        datalist: its testing section has the class tied to the hospital as in training.
        datalist_flipped: the same training and validation; in its testing section the tie is another.
        truth: table of every picture's finding, part, hospital, outline and boxes, whatever the datalists tell of them.
        manifest: settings and names of all files written.
        items: the plan that was carried out.
    """

    folder: Path
    datalist: Path
    datalist_flipped: Path
    truth: Path
    manifest: Path
    items: tuple[PlannedItem, ...]


@dataclass(frozen=True)
class _Drawn:
    image: str
    outline: str | None
    boxes: tuple[tuple[float, float, float, float], ...]


def write_phantoms(
    output_dir: str | os.PathLike[str],
    settings: PhantomSettings | None = None,
    *,
    overwrite: bool = False,
    workers: int = 1,
) -> PhantomFiles:
    """Draws and writes a data set. The same settings give the same bytes, whatever the number of workers.

    Args:
        output_dir: a new or an empty folder.
        settings: what to draw; the defaults where None.
        overwrite: whether the folder may hold something. Files of an earlier run are then replaced, once the new ones are
            complete; other people's files stay.
        workers: processes that draw.

    Returns:
        Where everything lies.

    Raises:
        OutputNotWritableError: the folder cannot be written, or holds something and ``overwrite`` is not set.
    """
    settings = settings or PhantomSettings()
    folder = Path(os.path.abspath(output_dir))
    items = plan_items(settings)
    with _workplace(folder, overwrite) as place:
        drawn = _draw_all(place, items, settings, workers)
        _write_tables(place, settings, items, drawn)
        _move_into(place, folder)
    return PhantomFiles(
        folder=folder,
        datalist=folder / "datalist.json",
        datalist_flipped=folder / "datalist_flipped.json",
        truth=folder / "truth.csv",
        manifest=folder / MANIFEST,
        items=tuple(items),
    )


@contextmanager
def _workplace(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary folder beside the real one, so that an unfinished set is never seen."""
    if folder.exists() and not folder.is_dir():
        raise OutputNotWritableError(f"{folder} is a file; give a folder for the phantoms")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputNotWritableError(f"{folder} is not empty; give an empty folder, or allow overwriting (--overwrite)")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".unfinished", dir=folder.parent))
    except OSError as error:
        raise OutputNotWritableError(f"cannot write phantoms to {folder}: {error.strerror}") from error
    try:
        yield place
    except OSError as error:
        raise OutputNotWritableError(f"cannot write phantoms to {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _draw_all(place: Path, items: list[PlannedItem], settings: PhantomSettings, workers: int) -> list[_Drawn]:
    for name in ("images", "outlines"):
        (place / name).mkdir()
    draw = partial(_draw, place, settings)
    if workers == 1:
        return list(track(map(draw, items), "drawing phantoms", len(items)))
    with ProcessPoolExecutor(workers) as pool:
        return list(track(pool.map(draw, items, chunksize=4), "drawing phantoms", len(items)))


def _draw(place: Path, settings: PhantomSettings, item: PlannedItem) -> _Drawn:
    phantom = generate_phantom(item.spec)
    if settings.image_format == "dicom":
        image = f"images/{item.id}.dcm"
        write_dicom(place / image, phantom, item, settings.transfer_syntax)
    else:
        image = f"images/{item.id}.png"
        Image.fromarray(to_bytes(phantom)).save(place / image, optimize=False)
    outline = None
    if phantom.outline.any() or item.mask_kind == "empty":
        outline = f"outlines/{item.id}.png"
        Image.fromarray(phantom.outline.astype(np.uint8) * 255).save(place / outline)
    return _Drawn(image, outline, phantom.boxes)


def to_bytes(phantom: Phantom) -> np.ndarray:
    """The picture as 8-bit grey [H, W]."""
    return np.round(phantom.pixels * 255).astype(np.uint8)


def _write_tables(place: Path, settings: PhantomSettings, items: list[PlannedItem], drawn: list[_Drawn]) -> None:
    sections: dict[str, list[DatalistItem]] = {}
    for item, files in zip(items, drawn, strict=True):
        sections.setdefault(item.part, []).append(_datalist_item(item, files))
    chosen = {name: tuple(sections.get(name, ())) for name in ("training", "validation", "testing")}
    datalist = Datalist(name="phantoms", labels=LabelSpace(), root=place, **chosen)
    save_datalist(datalist, place / "datalist.json")
    flipped = replace(datalist, name="phantoms_flipped", testing=tuple(sections.get("flipped", ())))
    save_datalist(flipped, place / "datalist_flipped.json")
    _write_truth(place / "truth.csv", items, drawn)
    written = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    manifest = {"notice": f"Synthetic pictures. {RESEARCH_USE_ONLY}", "settings": asdict(settings), "files": [*written, MANIFEST]}
    (place / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _datalist_item(item: PlannedItem, files: _Drawn) -> DatalistItem:
    return DatalistItem(
        id=item.id,
        image=files.image,
        label=item.label,
        mask=files.outline if item.mask_kind in ("pixel", "empty") else None,
        boxes=files.boxes if item.mask_kind == "box" else (),
        mask_kind=item.mask_kind,
        patient_id=item.patient_id,
        source=item.spec.hospital.name,
        view=item.spec.view,
        age=item.spec.age,
        sex=item.spec.sex,
        license=LICENSE,
    )


def _write_truth(path: Path, items: list[PlannedItem], drawn: list[_Drawn]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["id", "part", "finding", "label", "hospital", "patient_id", "visit", "image", "outline", "boxes"])
        for item, files in zip(items, drawn, strict=True):
            boxes = json.dumps([list(box) for box in files.boxes])
            spec = item.spec
            row = [item.id, item.part, spec.finding, item.label or "", spec.hospital.name, item.patient_id, spec.visit]
            table.writerow([*row, files.image, files.outline or "", boxes])


def _move_into(place: Path, folder: Path) -> None:
    written = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["files"]
    for name in _former_files(folder):
        if name not in written:
            (folder / name).unlink(missing_ok=True)
    for name in written:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (place / name).replace(target)


def _former_files(folder: Path) -> list[str]:
    """What an earlier run wrote into the folder, by its manifest; nothing outside of the folder."""
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    ours = [name for name in names if isinstance(name, str) and ".." not in Path(name).parts and not Path(name).is_absolute()]
    return [name for name in ours if Path(name).parts[0] in ("images", "outlines") or len(Path(name).parts) == 1]
