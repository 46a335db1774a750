"""Probes as files: the table says what the numbers say, and earlier probes alone are replaced."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from monai_pneumonia.errors import OutputNotWritableError, UsageError
from monai_pneumonia.evaluation.probe_report import PROBE_FILES, check_probe_output, draw_probes, probe_tables, write_probe_report


def entry(value, low=None, high=None, n=40, patients=30):
    return {"value": value, "low": low, "high": high, "n": n, "patients": patients}


def line(question, metric, part, values, differences, source=None, fitted_on="all", probe="linear", chance=0.5):
    named = {"question": question, "metric": metric, "part": part, "source": source, "probe": probe, "fitted_on": fitted_on}
    return {**named, "chance": chance, "values": values, "differences": differences}


def content(results=None) -> dict[str, Any]:
    known = {"pretrained": entry(0.91, 0.85, 0.96), "random": entry(0.8, 0.71, 0.88)}
    unknown = {"pretrained": entry(None, n=5, patients=4), "random": entry(None, n=5, patients=4)}
    return {
        "research_use_only": "Research use only, not for diagnosis.",
        "encoder": {"sha256": "ab" * 32, "description": {"method": "moco", "backbone": "resnet18", "input_size": 64, "epochs": 3}},
        "datalist": {"name": "chests | 2", "sha256": "cd" * 32, "classes": ["normal", "viral"]},
        "settings": {"resamples": 100, "confidence": 0.95},
        "fitted_on": {"section": "training", "items": 90, "patients": 70, "sources": 2},
        "scored_on": {"section": "validation", "items": 45, "patients": 34, "sources": 2},
        "features": {"pretrained": 512, "random": 512},
        "results": [
            line("pneumonia", "p_pneumonia_auc", "all", known, {"random": entry(0.11, 0.02, 0.19)}),
            line("pneumonia", "p_pneumonia_auc", "one source", unknown, {"random": entry(None)}, source="a|b $x$"),
            line("pneumonia", "p_pneumonia_auc", "one source", known, {"random": entry(-0.01)}, source="north", fitted_on="one source"),
            line("source", "balanced_accuracy", "all", known, {"random": entry(0.11, -0.02, 0.19)}, probe="knn", chance=0.25),
        ]
        if results is None
        else results,
    }


def rows(text):
    """The lines of all tables, cell by cell."""
    lines = [re.split(r"(?<!\\)\|", text_line)[1:-1] for text_line in text.splitlines() if text_line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines]


def test_the_table_says_what_the_numbers_say():
    text = probe_tables(content())
    found = rows(text)
    assert {len(cells) for cells in found} == {8}
    assert [
        "all",
        "linear",
        "AUC",
        "40 (30)",
        "0.500",
        "0.910 (0.850 to 0.960)",
        "0.800 (0.710 to 0.880)",
        "+0.110 (+0.020 to +0.190)",
    ] in found
    assert next(cells for cells in found if cells[0].startswith("a"))[3:] != []
    unknown = next(cells for cells in found if "b" in cells[0] and "x" in cells[0])
    assert unknown == [r"a\|b \$x\$", "linear", "AUC", "5 (4)", "0.500", "–", "–", "–"]  # noqa: RUF001
    own = next(cells for cells in found if cells[0].startswith("north"))
    assert own[0] == "north, probe of its own"
    assert own[-1] == "-0.010"
    knn = next(cells for cells in found if cells[1] == "nearest neighbours")
    assert knn[2:5] == ["balanced accuracy", "40 (30)", "0.250"]


def test_a_reader_is_told_what_was_done():
    text = probe_tables(content())
    assert text.count("Research use only, not for diagnosis.") == 2
    for told in (
        "training, 90 pictures of 70 patients",
        "validation, 45 pictures of 34 patients",
        "95% over 100 resamples",
        "moco",
        "ab" * 32,
    ):
        assert told in text
    assert "chests \\| 2" in text
    assert "pre-training reads no label at all" in text
    assert "batch normalisations set on the training pictures" in text
    assert "probes.png" in text
    assert "probes.png" not in probe_tables(content(), drawn=False)


def test_the_figure_has_a_line_for_each_value():
    figure = draw_probes(content())
    assert figure is not None
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 3
    assert names[-1] == "Which hospital: all, nearest neighbours balanced accuracy"
    shown = sorted(float(drawn.get_xdata()[0]) for drawn in axes.get_lines() if drawn.get_marker() in ("D", "s"))
    assert shown == [0.8, 0.8, 0.8, 0.91, 0.91, 0.91]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["pre-trained", "random"]


def test_nothing_to_draw_leaves_the_figure_out(tmp_path):
    empty = content(content()["results"][1:2])
    assert draw_probes(empty) is None
    write_probe_report(empty, tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"probes.json", "probes.md"}


def test_earlier_probes_are_replaced_and_nothing_else(tmp_path):
    folder = tmp_path / "out"
    write_probe_report(content(), folder)
    first = {name: (folder / name).read_bytes() for name in PROBE_FILES}
    assert json.loads(first["probes.json"]) == content()
    (folder / "cache").mkdir()
    (folder / "metrics.json").write_text("another's")
    write_probe_report(content(), folder)
    assert {name: (folder / name).read_bytes() for name in PROBE_FILES} == first
    assert (folder / "metrics.json").read_text() == "another's"
    # Without a figure the earlier one goes: it would show other numbers.
    write_probe_report(content([]), folder)
    assert {file.name for file in folder.iterdir()} == {"probes.json", "probes.md", "cache", "metrics.json"}


def test_a_file_of_our_name_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "probes.json").write_text('{"results": []}')
    with pytest.raises(OutputNotWritableError, match=r"probes\.json"):
        write_probe_report(content(), tmp_path)
    assert (tmp_path / "probes.json").read_text() == '{"results": []}'
    assert len(list(tmp_path.iterdir())) == 1


def test_values_that_json_has_no_word_for_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_probe_report(
            content([line("pneumonia", "p_pneumonia_auc", "all", {"pretrained": entry(float("nan"))}, {})]), tmp_path / "out"
        )
    assert not list(tmp_path.iterdir())


def test_earlier_probes_are_kept_where_asked(tmp_path):
    check_probe_output(tmp_path / "out", overwrite=False)
    write_probe_report(content(), tmp_path / "out")
    check_probe_output(tmp_path / "out", overwrite=True)
    with pytest.raises(UsageError, match=r"probes\.json already"):
        check_probe_output(tmp_path / "out", overwrite=False)
