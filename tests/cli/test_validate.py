from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_pneumonia.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command; gives its exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["monai-pneumonia", "validate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def datalist(tmp_path) -> dict:
    """A sound datalist as plain JSON; write it with :func:`write`."""
    content: dict = {"classes": ["normal", "viral"]}
    for offset, section in enumerate(("training", "validation", "testing")):
        content[section] = []
        for number, label in enumerate(content["classes"]):
            name = f"{section}-{label}"
            pixels = np.random.default_rng(10 * offset + number).integers(0, 256, (8, 9), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{name}.png")
            content[section].append({"id": name, "image": f"{name}.png", "label": label, "patient_id": f"secret-{name}"})
    return content


@pytest.fixture
def write(tmp_path):
    def to_file(content: object) -> Path:
        path = tmp_path / "datalist.json"
        path.write_text(json.dumps(content))
        return path

    return to_file


def test_sound(run, datalist, write):
    code, out, err = run(write(datalist))
    assert (code, err) == (0, "")
    assert "6 items in, 6 read, 0 faults, 0 warnings" in out
    assert "not for diagnosis" in out


def test_all_faults_by_item_and_file_with_counts(run, datalist, write, tmp_path):
    datalist["training"][0]["image"] = "gone.png"
    datalist["validation"][0]["image"] = "gone-too.png"
    datalist["testing"][0]["label"] = "flu"
    code, out, _ = run(write(datalist), "--output", tmp_path / "reports" / "report.json")
    assert code == 4
    assert f"fault: missing_image: training training-normal ({tmp_path / 'gone.png'}): " in out
    assert f"fault: missing_image: validation validation-normal ({tmp_path / 'gone-too.png'}): " in out
    assert "fault: unknown_label: testing testing-normal" in out
    assert "warning: empty_class: testing: testing has no item of the class 'normal'" in out
    assert "6 items in, 4 read, 3 faults, 1 warnings" in out
    (count,) = [line for line in out.splitlines() if line.startswith("│ missing_image")]
    assert count.split("│")[2].strip() == "2"
    assert "secret" not in out
    report = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert (report["ok"], report["items"], report["read"]) == (False, 6, 4)
    assert report["fault_counts"] == {"unknown_label": 1, "missing_image": 2}
    assert report["faults"][0]["item"] == "testing-normal"


def test_warnings_alone_are_no_failure(run, datalist, write):
    datalist["validation"] = []
    code, out, _ = run(write(datalist))
    assert code == 0
    assert "4 items in, 4 read, 0 faults, 1 warnings" in out
    assert "warning: empty_section: validation" in out


def test_empty_datalist(run, write):
    code, _, err = run(write({"classes": ["normal"], "training": [], "validation": [], "testing": []}))
    assert code == 3
    assert "no items" in err


@pytest.mark.parametrize("content", [{"classes": []}, [1, 2]])
def test_no_datalist(run, write, content):
    code, _, err = run(write(content))
    assert code == 4
    assert "datalist.json breaks its schema" in err


def test_missing_datalist(run, tmp_path):
    code, _, err = run(tmp_path / "gone.json")
    assert code == 4
    assert "gone.json" in err


def test_report_that_cannot_be_written(run, datalist, write, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run(write(datalist), "-o", tmp_path / "file" / "report.json")
    assert code == 7
    assert "cannot write the report" in err


def test_impossible_number_of_workers(run, datalist, write):
    assert run(write(datalist), "--workers", 0)[0] == 2
