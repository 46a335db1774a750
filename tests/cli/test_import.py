"""The import commands as a user runs them; the importers themselves are tested in tests/data/importers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_pneumonia.cli import main
from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.data.importers import IMPORTERS


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command line; gives its exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["monai-pneumonia", *map(str, arguments)])
        # Wide, so that no table or message is wrapped.
        monkeypatch.setenv("COLUMNS", "250")
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def write_picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)).save(path)


@pytest.fixture
def table(tmp_path) -> Path:
    lines = ["image,label,patient_id,source"]
    for number in range(20):
        write_picture(tmp_path / "images" / f"{number}.png", number)
        lines.append(f"images/{number}.png,{('normal', 'flu', 'odd', 'bad')[number % 4]},p{number},clinic")
    lines.append("images/gone.png,normal,p99,clinic")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    return path


def test_csv_with_its_options(run, table, tmp_path):
    output = tmp_path / "out" / "datalist.json"
    code, _, err = run(
        *("import", "csv", table, "--output", output, "--seed", 3, "--fractions", 0.6, 0.2, 0.2),
        *("--classes", "normal,influenza", "--group", "any=normal,influenza", "--name", "clinic pictures"),
        *("--map", "flu=influenza", "--map", "odd=null", "--map", "bad=drop"),
    )
    assert (code, err) == (0, "")
    datalist = load_datalist(output)
    assert datalist.name == "clinic pictures"
    assert datalist.labels.classes == ("normal", "influenza")
    assert datalist.labels.groups == {"any": ("normal", "influenza")}
    assert [len(datalist.section(name)) for name in ("training", "validation", "testing")] == [9, 3, 3]
    assert {item.label for _, item in datalist.items()} == {"normal", "influenza", None}
    assert all(datalist.existing(item, item.image) for _, item in datalist.items())


def test_the_account_is_complete(run, table, tmp_path):
    _, out, _ = run("import", "csv", table, "-o", tmp_path / "d.json", "--map", "flu=viral", "--map", "odd=", "--map", "bad=drop")
    assert "left out: 5 (label 'bad' is mapped to drop), such as 3.png, 7.png, 11.png" in out
    assert "left out: 1 (picture is not there), such as gone.png" in out
    assert "21 pictures listed, 15 written, 6 left out" in out
    assert "clinic" in out
    assert "no label" in out
    assert "not for diagnosis" in out
    # The counts by section in the table's last row add up to what was written.
    (total,) = [line for line in out.splitlines() if line.startswith("│ all")]
    assert sum(int(cell) for cell in total.split("│") if cell.strip().isdigit()) == 15


def test_unknown_labels_end_with_one_line_and_write_nothing(run, table, tmp_path):
    code, _, err = run("import", "csv", table, "-o", tmp_path / "d.json")
    assert code == 4
    assert len(err.strip().splitlines()) == 1
    assert "'bad' (5), 'flu' (5), 'odd' (5)" in err
    assert "--map 'bad=CLASS'" in err
    assert not (tmp_path / "d.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--map", "flu"), 2, "--map 'flu': write NAME=VALUE"),
        (("--map", "flu=influenza"), 2, "'influenza'"),
        (("--group", "=a"), 2, "--group '=a'"),
        (("--fractions", 0.5, 0.1, 0.1), 2, "fractions"),
        (("--image-column", "file"), 4, "no column 'file'; it has ['image', 'label', 'patient_id', 'source']"),
        (("--boxes", "gone.csv"), 4, "gone.csv"),
    ],
)
def test_mistakes_have_their_exit_codes(run, table, tmp_path, arguments, code, words):
    mapped = () if arguments[0] == "--map" else ("--map", "flu=viral", "--map", "odd=viral", "--map", "bad=viral")
    found, _, err = run("import", "csv", table, "-o", tmp_path / "d.json", *mapped, *arguments)
    assert found == code
    assert words in err
    assert not (tmp_path / "d.json").exists()


def test_output_that_cannot_be_written(run, table, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run("import", "csv", table, "-o", tmp_path / "file" / "d.json", "--map", "flu=viral", "--map", "odd=", "--map", "bad=")
    assert code == 7
    assert "cannot write the datalist" in err


def test_nothing_to_import(run, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run("import", "folders", tmp_path / "empty", "-o", tmp_path / "d.json")
    assert code == 3
    assert "no picture to import" in err


def test_medmnist_writes_its_pictures_beside_the_datalist(run, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "mini.npz", train_images=images, train_labels=np.arange(20) % 2)
    code, _, _ = run("import", "medmnist", tmp_path / "mini.npz", "-o", tmp_path / "out" / "mini.json")
    assert code == 0
    assert len(list((tmp_path / "out" / "mini-pictures").iterdir())) == 20
    content = json.loads((tmp_path / "out" / "mini.json").read_text())
    assert content["training"][0]["image"].startswith("mini-pictures/")
    code, _, _ = run("import", "medmnist", tmp_path / "mini.npz", "-o", tmp_path / "mini.json", "--pictures", tmp_path / "elsewhere")
    assert code == 0
    assert len(list((tmp_path / "elsewhere").iterdir())) == 20


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_importer_has_a_command_with_help(run, name):
    code, out, _ = run("import", name, "--help")
    assert code == 0
    assert "Imports " in out
    for option in ("--output", "--seed", "--fractions", "--classes", "--group", "--map"):
        assert option in out


def test_help_is_quick_because_nothing_heavy_is_imported():
    heavy = ["torch", "monai", "pandas", "sklearn", "matplotlib", "pydicom"]
    check = f"import sys; from monai_pneumonia.cli import app; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.strip() == "[]"
