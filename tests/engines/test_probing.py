"""Probing an encoder in this process, on phantoms."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probe_files import write_encoder

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.data.splits import select_fold
from monai_pneumonia.engines import probe_encoder, probe_values
from monai_pneumonia.engines.encoder_data import training_sha256
from monai_pneumonia.engines.probing import warn_of_another_section
from monai_pneumonia.errors import ModelFaultError, UsageError
from monai_pneumonia.inference.weights import file_sha256


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "encoder.pt", "efficientnet-b0")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _probe(encoder: Path, datalist: Path, cache: Path, **settings: Any) -> dict[str, Any]:
    return probe_encoder(str(encoder), str(datalist), str(cache), **{"resamples": 20, **settings})


@pytest.fixture(scope="module")
def content(encoder: Path, phantom_datalist: Path, cache: Path) -> dict[str, Any]:
    return _probe(encoder, phantom_datalist, cache)


def test_the_content_is_plain_and_accounts_for_every_item(content: dict[str, Any], phantom_datalist: Path, encoder: Path) -> None:
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    listed = load_datalist(phantom_datalist)
    for key, section in (("fitted_on", listed.training), ("scored_on", listed.validation)):
        assert content[key]["items"] == len(section)
        assert content[key]["patients"] == len({item.patient for item in section})
    assert content["features"] == {"pretrained": 320, "random": 320, "pixels": 256}
    assert content["encoder"]["sha256"] == file_sha256(encoder)
    assert "Research use only" in content["research_use_only"]
    told = json.dumps(content)
    assert not [item.patient_id for item in [*listed.training, *listed.validation] if item.patient_id and f'"{item.patient_id}"' in told]


def test_the_small_table_has_one_value_a_question(content: dict[str, Any]) -> None:
    values = probe_values(content)
    asked = ("pneumonia/all/p_pneumonia_auc", "pneumonia/within_sources/p_pneumonia_auc")
    asked += tuple(f"{kind}/all/{metric}" for kind in ("class", "source") for metric in ("macro_auc", "balanced_accuracy"))
    assert set(values) == {
        f"{encoder}/{probe}/{question}" for encoder in content["features"] for probe in ("linear", "knn") for question in asked
    }
    assert all(value is None or 0 <= value <= 1 for value in values.values())
    # Each hospital of the phantoms has its own look: coarse pixels tell it.
    assert (values["pixels/linear/source/all/macro_auc"] or 0) > 0.8


@pytest.mark.slow
def test_a_second_run_is_the_same_whatever_the_batch(content: dict[str, Any], encoder: Path, phantom_datalist: Path, cache: Path) -> None:
    assert _probe(encoder, phantom_datalist, cache) == content
    # The pre-trained encoder's features know no batch; the random one's statistics are taken from batches.
    others = probe_values(_probe(encoder, phantom_datalist, cache, batch_size=5, resamples=0))
    for name, value in probe_values(content).items():
        if not name.startswith("random/"):
            assert others[name] == (None if value is None else pytest.approx(value, abs=0.05)), name


def test_a_fold_and_fewer_features(encoder: Path, phantom_datalist: Path, cache: Path) -> None:
    found = _probe(encoder, phantom_datalist, cache, fold=1, n_folds=3, seed=3, pixels=False, resamples=0)
    listed = select_fold(load_datalist(phantom_datalist), 1, 3, 3)
    assert found["scored_on"]["items"] == len(listed.validation)
    assert set(found["features"]) == {"pretrained", "random"}
    assert all(entry["low"] is None for row in found["results"] for entry in row["values"].values())
    with pytest.raises(UsageError, match="fold"):
        _probe(encoder, phantom_datalist, cache, fold=3, n_folds=3)


def test_a_bad_encoder_raises_in_process(phantom_datalist: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFaultError):
        _probe(write_encoder(tmp_path / "encoder.pt", parameters_of="densenet121"), phantom_datalist, cache)


class TestAnotherSection:
    @pytest.fixture
    def seen(self, phantom_datalist: Path, tmp_path: Path) -> Callable[..., Path]:
        """Writes an encoder that says that it saw the training section of the datalist's own split."""

        def write(**other: Any) -> Path:
            told = {"datalist": "phantoms", "datalist_sha256": file_sha256(phantom_datalist), "fold": None, "n_folds": 5, "seed": 0}
            training = training_sha256(load_datalist(phantom_datalist))
            return write_encoder(tmp_path / "encoder.pt", "efficientnet-b0", **{**told, "training_sha256": training, **other})

        return write

    def _warned(self, encoder: Path, datalist: Path, caplog: pytest.LogCaptureFixture, fold: int | None = None) -> bool:
        listed = select_fold(load_datalist(datalist), fold, 5, 0)
        with caplog.at_level(logging.WARNING):
            answer = warn_of_another_section(str(encoder), listed, file_sha256(datalist))
        assert answer == ("another training section" in caplog.text)
        return answer

    def test_the_same_section_is_fine(self, seen: Callable[..., Path], phantom_datalist: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert not self._warned(seen(), phantom_datalist, caplog)
        assert caplog.text == ""

    def test_another_fold_is_warned_of_and_probed(
        self, seen: Callable[..., Path], phantom_datalist: Path, cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self._warned(seen(), phantom_datalist, caplog, fold=2)
        assert "give the same `fold`, `n_folds` and `seed`" in caplog.text
        caplog.clear()
        content = _probe(seen(), phantom_datalist, cache, fold=2, pixels=False, resamples=0)
        assert "another training section" in caplog.text
        assert content["settings"]["fold"] == 2

    def test_another_datalist_or_one_that_does_not_tell_is_no_other_section(
        self, seen: Callable[..., Path], phantom_datalist: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for told in ({"datalist_sha256": "0" * 64}, {"training_sha256": None}):
            assert not self._warned(seen(**told), phantom_datalist, caplog, fold=2)
