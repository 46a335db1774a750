"""Baseline maps as folders that an evaluation takes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from monai_pneumonia.data.datalist import load_datalist, save_datalist
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, OutputNotWritableError, UsageError
from monai_pneumonia.evaluation.baselines import write_baseline_maps
from monai_pneumonia.evaluation.joining import join
from monai_pneumonia.evaluation.localizing import best_thresholds, localization_of_maps
from monai_pneumonia.evaluation.measuring import Settings, measure
from monai_pneumonia.evaluation.predictions import read_predictions
from monai_pneumonia.inference import LesionRecognizer
from monai_pneumonia.inference.baseline_maps import baseline_sources, maps_of, mean_outline

NAMES = ["grad_cam_pp_8", "grad_cam_pp_16", "grad_cam_pp_32", "mean_outline"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def written(bundle, phantom_datalist, tmp_path_factory):
    return write_baseline_maps(bundle, phantom_datalist, tmp_path_factory.mktemp("baselines") / "out", device="cpu")


def test_one_folder_for_each(written):
    assert list(written) == NAMES
    assert sorted(entry.name for entry in written["mean_outline"].parent.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", ["grad_cam_pp_16", "mean_outline"])
def test_an_evaluation_takes_it_and_finds_what_a_program_finds(bundle, phantom_datalist, written, name):
    datalist = load_datalist(phantom_datalist)
    metrics = measure(join(read_predictions(written[name], datalist.labels), datalist, "testing"), Settings(resamples=0), None)
    assert metrics["accounting"]["items"]["ok"] == len(datalist.testing)
    found = metrics["localization"]
    assert found["map_kind"] == name
    assert found["lesion_threshold_from"] == "chosen in favour of this baseline: best mean Dice on the section 'validation'"

    recognizer = LesionRecognizer.from_bundle(bundle, "cpu")
    constant = mean_outline(datalist, recognizer.description.input_size)
    source = baseline_sources(recognizer, constant)[name]
    thresholds = best_thresholds(maps_of(recognizer, source, datalist, datalist.validation), datalist)
    assert found["lesion_threshold"] == thresholds
    outlined = [item for item in datalist.testing if item.mask_kind != "unknown"]
    expected = localization_of_maps(maps_of(recognizer, source, datalist, outlined), datalist, thresholds, resamples=0)
    assert len(expected.pictures["pixel"]) > 1
    for kind, values in expected.estimates.items():
        for metric, entry in values.items():
            assert found[kind]["overall"][metric]["value"] == pytest.approx(entry.value, abs=1e-5), metric


def test_says_research_use_only(written):
    for folder in written.values():
        assert "Research use only" in json.loads((folder / "lesions.json").read_text())["notice"]


def test_a_bad_picture_has_its_row_and_no_map(bundle, phantom_datalist, tmp_path):
    datalist = load_datalist(phantom_datalist)
    (tmp_path / "bad.png").write_text("no picture")
    drawn = next(item for item in datalist.testing if item.mask_kind == "pixel")
    bad = replace(drawn, image=str(tmp_path / "bad.png"))
    save_datalist(datalist.with_sections(testing=(bad, datalist.testing[0])), tmp_path / "datalist.json")
    folders = write_baseline_maps(bundle, tmp_path / "datalist.json", tmp_path / "out", device="cpu")
    read = read_predictions(folders["mean_outline"], datalist.labels)
    assert read.statuses == ("error", "ok")
    assert bad.id not in {file.stem for file in (folders["mean_outline"] / "attention").iterdir()}


class TestRefusing:
    def test_a_section_that_is_measured_and_learned_from(self, bundle, phantom_datalist, tmp_path):
        for options in ({"section": "validation"}, {"outline_section": "testing"}):
            with pytest.raises(UsageError, match="is measured: choose"):
                write_baseline_maps(bundle, phantom_datalist, tmp_path / "out", **options)

    def test_a_folder_that_is_there(self, bundle, phantom_datalist, tmp_path):
        (tmp_path / "mean_outline").mkdir()
        with pytest.raises(UsageError, match="mean_outline is there already"):
            write_baseline_maps(bundle, phantom_datalist, tmp_path, device="cpu")
        assert [entry.name for entry in tmp_path.iterdir()] == ["mean_outline"]

    def test_no_outline_to_choose_on(self, bundle, phantom_datalist, tmp_path):
        datalist = load_datalist(phantom_datalist)
        save_datalist(datalist.with_sections(validation=()), tmp_path / "datalist.json")
        with pytest.raises(NothingToAnalyseError, match="no picture to choose a threshold on"):
            write_baseline_maps(bundle, tmp_path / "datalist.json", tmp_path / "out", device="cpu")
        assert not (tmp_path / "out").exists()

    def test_an_output_that_is_a_file(self, bundle, phantom_datalist, tmp_path):
        (tmp_path / "out").write_text("in the way")
        with pytest.raises(OutputNotWritableError, match="cannot write"):
            write_baseline_maps(bundle, phantom_datalist, tmp_path / "out", device="cpu")
        assert [entry.name for entry in tmp_path.iterdir()] == ["out"]

    def test_a_fault_half_way_leaves_nothing(self, bundle, phantom_datalist, tmp_path, monkeypatch):
        def fail(*_):
            raise BadInputError("half way")

        monkeypatch.setattr(np, "save", fail)
        with pytest.raises(BadInputError, match="half way"):
            write_baseline_maps(bundle, phantom_datalist, tmp_path / "out", device="cpu")
        assert not list((tmp_path / "out").glob("*"))
