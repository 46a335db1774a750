"""The whole way: files in, files out."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.errors import OutputNotWritableError
from monai_pneumonia.evaluation import RESULT_FILES, evaluate_predictions
from monai_pneumonia.evaluation.figures import FIGURES
from monai_pneumonia.evaluation.joining import join
from monai_pneumonia.evaluation.markdown import escaped, markdown_report
from monai_pneumonia.evaluation.measuring import Settings, measure
from monai_pneumonia.evaluation.predictions import read_predictions
from monai_pneumonia.evaluation.report import html_report
from monai_pneumonia.evaluation.samples import choose_samples
from monai_pneumonia.evaluation.tables import all_tables
from monai_pneumonia.inference import file_name_of, prediction_columns


def files(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


class Page(HTMLParser):
    """The elements of a page, with a check that they are closed in order."""

    VOID = {"meta", "img", "br"}

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(content)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def report_of(study, overlays=None):
    """The page without its figures, which take most of the time."""
    datalist = load_datalist(study.write().datalist)
    joined = join(read_predictions(study.predictions, datalist.labels), datalist, "testing")
    samples = choose_samples(joined.labelled(), overlays) if overlays else ()
    return html_report(measure(joined, Settings(resamples=10), None), frozenset(), study.folder, samples)


def test_a_rerun_writes_the_same_bytes_and_returns_the_metrics(hospitals, results, tmp_path):
    returned = evaluate_predictions(hospitals.predictions, hospitals.datalist, tmp_path / "out", resamples=50)
    assert files(tmp_path / "out") == files(results) == set(RESULT_FILES)
    for name in RESULT_FILES:
        assert (results / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name
    assert json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")) == returned
    assert returned["datalist"]["sha256"] == hashlib.sha256(hospitals.datalist.read_bytes()).hexdigest()
    assert returned["predictions"]["sha256"] == hashlib.sha256(hospitals.predictions.read_bytes()).hexdigest()


def test_tables_and_objects_do_as_well_as_files(hospitals, results, tmp_path):
    metrics = evaluate_predictions(pd.DataFrame(hospitals.rows), load_datalist(hospitals.datalist), tmp_path / "table", resamples=50)
    assert metrics["overall"] == json.loads((results / "metrics.json").read_text(encoding="utf-8"))["overall"]


def test_the_columns_are_those_that_predict_writes(hospitals):
    classes = load_datalist(hospitals.datalist).labels.classes
    assert hospitals.predictions.read_text(encoding="utf-8").splitlines()[0].split(",") == prediction_columns(classes)


def test_no_patient_and_no_reason_in_any_output(results):
    for name in files(results):
        content = (results / name).read_bytes()
        assert b"secret" not in content, name
        assert b"Doe" not in content, name


@pytest.mark.parametrize("name", ["metrics.json", "metrics.md", "report.html"])
def test_every_output_says_what_it_is_for(results, name):
    assert RESEARCH_USE_ONLY in (results / name).read_text(encoding="utf-8")


def test_what_was_left_out_is_listed(results):
    listed = pd.read_csv(results / "left_out.csv")
    assert {"silent", "lateral", "broken", "learned", "stranger"} <= set(listed["id"])
    assert len(listed) == 15


class TestPage:
    @pytest.fixture
    def page(self, results):
        return Page((results / "report.html").read_text(encoding="utf-8"))

    def test_stands_alone(self, page):
        assert not {"script", "link", "iframe", "object"} & set(page.tags)
        addresses = [value for _, name, value in page.attributes if name in ("src", "href", "action", "data", "srcset")]
        assert len(addresses) == len(FIGURES)
        assert all(value.startswith("data:image/") for value in addresses)
        assert not re.search(r"url\(|@import", "".join(page.text))

    def test_shows_every_value(self, page, results):
        shown = "".join(page.text)
        metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
        for table in all_tables(metrics):
            assert table.title in shown
            for cell in (cell for row in table.rows for cell in row):
                assert cell.text in shown
                assert cell.detail in shown
        assert f"{metrics['overall']['p_pneumonia_auc']['value']:.3f}" in shown
        assert "3 of 81 items of the section are in no number of this page" in shown

    def test_figures_can_be_read_out(self, page):
        assert all(value for tag, name, value in page.attributes if tag == "img" and name == "alt")
        assert ("html", "lang", "en") in page.attributes

    def test_nothing_is_said_where_nothing_was_left_out(self, study):
        assert "in no number of this page" not in report_of(study)

    def test_a_missing_figure_is_explained(self, study):
        assert "Not drawn: no item has one known class." in report_of(study)


NASTY = "<script>alert('x')</script> $style ${title} \"&amp;|*_`"


def test_names_from_the_data_are_only_text(study, tmp_path):
    for item in study.sections["testing"]:
        item.update(source=NASTY, view=NASTY)
    for row in study.rows:
        row["model_version"] = NASTY
    study.write()
    content = json.loads(study.datalist.read_text(encoding="utf-8"))
    study.datalist.write_text(json.dumps({**content, "name": NASTY}), encoding="utf-8")
    evaluate_predictions(study.predictions, study.datalist, tmp_path / "out", resamples=10)
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert "".join(page.text).count(NASTY) >= 5
    assert "<script>" not in (tmp_path / "out" / "metrics.md").read_text(encoding="utf-8")


def test_markdown_tables_are_rectangular(study):
    study.sections["testing"][0]["source"] = "a | b"
    datalist = load_datalist(study.write().datalist)
    joined = join(read_predictions(study.predictions, datalist.labels), datalist, "testing")
    widths = [0]
    for line in markdown_report(measure(joined, Settings(resamples=10), None), frozenset()).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (cells and widths[-1]) or cells == widths[-1], line
        widths.append(cells)
    assert max(widths) > 5


def test_markdown_escape():
    assert escaped("a|b_c\n<d>") == r"a\|b\_c \<d\>"


def pictures(page):
    return [value for tag, name, value in page.attributes if (tag, name) == ("img", "src") and value.startswith("data:image/jpeg")]


class TestOverlays:
    @pytest.fixture
    def folder(self, study):
        study.item("a1", "viral", patient_id="a1")
        study.predict("a1", [0.9, 0.05, 0.03, 0.02])
        (study.folder / "overlays").mkdir()
        for name in ("i0", "i1", "i2", "a1"):
            Image.fromarray(np.full((300, 1200, 3), 80, dtype=np.uint8)).save(study.folder / "overlays" / f"{name}.png")
        return study

    def page(self, study):
        return Page(report_of(study, study.folder / "overlays"))

    def test_are_shown_small_and_by_outcome(self, folder):
        page = self.page(folder)
        assert len(pictures(page)) == 4
        assert [value for tag, name, value in page.attributes if (tag, name) == ("img", "width")] == ["448"] * 4
        shown = "".join(page.text)
        assert shown.index("Missed pneumonia") < shown.index("Pneumonia, called pneumonia") < shown.index("No pneumonia, called none")
        assert "False alarms" not in shown
        assert "label viral; likeliest normal 0.900" in shown

    def test_are_found_in_the_folder_that_predict_wrote(self, folder, tmp_path):
        folder.write()
        evaluate_predictions(folder.folder, folder.datalist, tmp_path / "out", resamples=0)
        assert len(pictures(Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8")))) == 4

    def test_an_id_that_names_a_patient_is_not_shown(self, folder):
        shown = "".join(self.page(folder).text)
        assert "i1" in shown
        assert "a1" not in shown

    def test_broken_and_missing_ones_are_passed_over(self, folder):
        (folder.folder / "overlays" / "i1.png").write_bytes(b"no picture")
        (folder.folder / "overlays" / "i2.png").unlink()
        assert len(pictures(self.page(folder))) == 2

    def test_an_id_cannot_lead_out_of_the_folder(self, folder):
        Image.new("L", (8, 8)).save(folder.folder / "outside.png")
        folder.item("../outside", "viral")
        folder.predict("../outside", [0.1, 0.1, 0.7, 0.1])
        assert len(pictures(self.page(folder))) == 4

    def test_an_id_that_cannot_name_a_file_is_found_as_predict_named_it(self, folder):
        folder.item("ward/7", "viral")
        folder.predict("ward/7", [0.1, 0.1, 0.7, 0.1])
        Image.new("L", (8, 8)).save(folder.folder / "overlays" / f"{file_name_of('ward/7')}.png")
        assert len(pictures(self.page(folder))) == 5

    def test_the_surest_come_first_and_not_all(self, folder):
        for at in range(9):
            folder.item(f"miss{at}", "viral")
            folder.predict(f"miss{at}", [0.51 + at / 100, 0.49 - at / 100, 0, 0])
            Image.new("L", (8, 8)).save(folder.folder / "overlays" / f"miss{at}.png")
        shown = "".join(self.page(folder).text)
        # The one without an id in its caption, at .9, is the surest.
        assert [at for at in range(9) if f"miss{at}" in shown] == [6, 7, 8]


def test_an_output_that_cannot_be_written_leaves_nothing(hospitals, tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OutputNotWritableError):
        evaluate_predictions(hospitals.predictions, hospitals.datalist, tmp_path / "out", resamples=0)
    assert [file.name for file in tmp_path.iterdir() if file.name not in ("hospitals", "out")] == []
