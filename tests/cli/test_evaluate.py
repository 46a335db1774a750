"""The command as a user runs it: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import csv
import json

import pytest

from monai_pneumonia.cli import main

HEADER = ("id", "status", "prob_normal", "prob_ill", "p_pneumonia", "decision")


@pytest.fixture
def files(tmp_path):
    """A datalist and predictions of eight items."""
    rows = [(f"i{at}", "ok", 0.8 - 0.1 * at, 0.2 + 0.1 * at, 0.2 + 0.1 * at, "pneumonia" if at > 3 else "no_pneumonia") for at in range(8)]
    with (tmp_path / "predictions.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    items = [{"id": f"i{at}", "image": "x.png", "label": "ill" if at > 2 else "normal"} for at in range(8)]
    content = {"classes": ["normal", "ill"], "training": [], "validation": [], "testing": items}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def run(files, monkeypatch, capsys):
    """Runs the command in the folder; gives exit code, output and errors."""

    def command(*options):
        monkeypatch.chdir(files)
        given = ["--predictions", "predictions.csv", "--datalist", "datalist.json", "--output", "out", "--resamples", "20"]
        monkeypatch.setattr("sys.argv", ["monai-pneumonia", "evaluate", *given, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return command


def test_success(files, run):
    with (files / "predictions.csv").open("a") as stream:
        stream.write("new,error,,,,\n")
    datalist = json.loads((files / "datalist.json").read_text())
    datalist["testing"].append({"id": "silent", "image": "x.png", "label": "ill"})
    (files / "datalist.json").write_text(json.dumps(datalist))
    code, output, errors = run()
    assert code == 0, errors
    assert "8 of 9 items of 'testing' in 'datalist' measured" in output
    assert "not measured: 1 without prediction" in output
    assert "not measured: 1 predictions without item" in output
    assert "Pneumonia AUC      1.000" in output
    assert "Research use only, not for diagnosis." in output
    metrics = json.loads((files / "out" / "metrics.json").read_text())
    assert metrics["overall"]["sensitivity"]["value"] == 0.8
    assert metrics["settings"]["resamples"] == 20
    assert (files / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("change", "options", "code", "message"),
    [
        (None, ("--section", "test"), 2, "test"),
        (None, ("--resamples", "-1"), 2, "resamples"),
        (None, ("--confidence", "1.5"), 2, "confidence"),
        (None, ("--section", "training"), 3, "the section 'training'"),
        (("datalist.json", '"id": "i', '"id": "j'), (), 3, "the ids are different"),
        (("predictions.csv", "prob_ill", "prob_fungal"), (), 4, "column 'prob_fungal'"),
        (("predictions.csv", "i7,", "i1,"), (), 4, "line 9, column 'id': 'i1' was predicted in line 3 already"),
        (("datalist.json", '"classes"', '"kinds"'), (), 4, "datalist.json breaks its schema"),
        (("datalist.json", '"label": "normal"', '"label": "fine"'), (), 4, "unknown label 'fine'"),
        (None, ("--predictions", "none.csv"), 4, "none.csv"),
        (None, ("--datalist", "none.json"), 4, "none.json"),
        (None, ("--output", "datalist.json"), 7, "datalist.json"),
    ],
)
def test_exit_codes(files, run, change, options, code, message):
    if change:
        name, old, new = change
        (files / name).write_text((files / name).read_text().replace(old, new))
    ended, _, errors = run(*options)
    assert ended == code, errors
    assert message in errors
    assert not (files / "out").exists()
    assert not list(files.glob(".*"))
