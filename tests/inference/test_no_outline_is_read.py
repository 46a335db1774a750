"""Recognition knows no outline: `predict` leaves the same files with true masks, with others, with broken ones, and without."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from monai_pneumonia.cli import main

FORMS = ("drawn", "other", "boxed", "broken", "none")


def _outlined_otherwise(item: dict[str, Any], form: str) -> dict[str, Any]:
    """A datalist's item, its picture as it is and its outline in another form."""
    bare = {**item, "mask": None, "boxes": []}
    return {
        "drawn": item,
        "other": {**bare, "mask": f"white_{item['id']}.png", "mask_kind": "pixel"},
        "boxed": {**bare, "boxes": [[1, 2, 30, 20]], "mask_kind": "box"},
        "broken": {**bare, "mask": "broken.png", "mask_kind": "pixel"},
        "none": {**bare, "mask_kind": "unknown"},
    }[form]


def _predicted(datalist: Path, bundle: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Every file that `monai-pneumonia predict` leaves of the testing section."""
    paths = ("--bundle", str(bundle), "--input", str(datalist), "--output", str(output))
    monkeypatch.setattr(sys, "argv", ["monai-pneumonia", "predict", *paths, "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return {str(made.relative_to(output)): made.read_bytes() for made in sorted(output.rglob("*")) if made.is_file()}


def test_predictions_are_bit_identical_whatever_is_outlined(
    tiny_bundle: Path, phantom_datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(phantom_datalist.parent, tmp_path / "phantoms"))
    (folder / "broken.png").write_text("no picture")
    content = json.loads(phantom_datalist.read_text())
    testing = content["testing"]
    assert any(item["mask_kind"] == "pixel" for item in testing)
    for item in testing:
        Image.new("L", Image.open(folder / item["image"]).size, 255).save(folder / f"white_{item['id']}.png")
    made = {}
    for form in FORMS:
        listed = {**content, "testing": [_outlined_otherwise(item, form) for item in testing]}
        (folder / f"{form}.json").write_text(json.dumps(listed))
        made[form] = _predicted(folder / f"{form}.json", tiny_bundle, tmp_path / form, monkeypatch)
    assert {"predictions.csv", f"attention/{testing[0]['id']}.npy", f"lesions/{testing[0]['id']}.png"} <= made["drawn"].keys()
    assert [form for form in FORMS if made[form] != made["drawn"]] == []
