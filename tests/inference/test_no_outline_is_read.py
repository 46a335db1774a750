"""Recognition knows no outline: its rows and maps are the same with masks, with broken ones, and without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.inference import LesionRecognizer, PredictionWriter


def _predicted(recognizer: LesionRecognizer, file: Path, output: Path) -> dict[str, bytes]:
    """Every file that a prediction of the testing section leaves, but for the log of the run."""
    datalist = load_datalist(file)
    with PredictionWriter(output, recognizer) as writer:
        for item in datalist.testing:
            path = datalist.existing(item, item.image)
            writer.add(item.id, path, recognizer(path), item.image)
    return {str(made.relative_to(output)): made.read_bytes() for made in sorted(output.rglob("*")) if made.is_file()}


def test_rows_and_maps_are_bit_identical_with_and_without_masks(
    recognizer: LesionRecognizer, picture_files: list[Path], tmp_path: Path
) -> None:
    mask = Image.fromarray(np.full((40, 40), 255, dtype=np.uint8))
    for picture in picture_files[:3]:
        mask.resize(Image.open(picture).size).save(tmp_path / f"mask_{picture.name}")
    (tmp_path / "broken.png").write_text("no picture")
    made = []
    for name in ("drawn", "broken", "none"):
        items = []
        for picture in picture_files[:3]:
            drawn = {"drawn": f"mask_{picture.name}", "broken": "broken.png"}.get(name)
            kind = "unknown" if drawn is None else "pixel"
            items.append({"id": picture.stem, "image": str(picture), "mask": drawn, "mask_kind": kind})
        file = tmp_path / f"{name}.json"
        content = {"classes": ["normal", "bacterial", "viral", "covid19"], "training": [], "validation": [], "testing": items}
        file.write_text(json.dumps(content))
        made.append(_predicted(recognizer, file, tmp_path / f"out_{name}"))
    assert {"predictions.csv", f"attention/{picture_files[0].stem}.npy"} <= made[0].keys()
    assert made[0] == made[1] == made[2]
