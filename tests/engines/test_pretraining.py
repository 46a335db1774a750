"""The pieces of a contrastive pre-training: records, queue, network, publication."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.data.records import section_records
from monai_pneumonia.engines.encoder_data import training_sha256
from monai_pneumonia.engines.pretraining import (
    announce_training_section,
    build_contrastive_network,
    pretraining_records,
    publish_encoder,
    queue_slots,
)
from monai_pneumonia.engines.training import build_training_network
from monai_pneumonia.errors import BadInputError, UsageError
from monai_pneumonia.inference.weights import file_sha256
from monai_pneumonia.networks import MoCoNet, SimCLRNet

SETTINGS = {
    "method": "moco",
    "backbone": "resnet18",
    "normalization": "batch",
    "input_size": 64,
    "resize_mode": "stretch",
    "fold": None,
    "n_folds": 5,
    "seed": 0,
    "max_epochs": 7,
}
ARGUMENTS = {"backbone": "resnet18", "normalization": "batch", "projection_channels": 8}


def test_records_name_training_pictures_and_number_their_patients(phantom_datalist: Path) -> None:
    datalist = load_datalist(phantom_datalist)
    records = pretraining_records(datalist)
    assert [record["id"] for record in records] == [item.id for item in datalist.training]
    codes: dict[str, int] = {}
    for record, item in zip(records, datalist.training, strict=True):
        assert codes.setdefault(item.patient, record["patient"]) == record["patient"]
    assert sorted(codes.values()) == list(range(len(codes)))
    assert sorted(codes) == sorted(codes, key=codes.__getitem__)
    # The cache is named by these, and shared with trainings without outlines; no label comes along.
    for record, labelled in zip(records, section_records(datalist, "training", outlines=False), strict=True):
        assert {**record, "target": labelled["target"]} == {**labelled, "patient": record["patient"]}


@pytest.mark.parametrize("section", ["validation", "testing"])
def test_there_are_no_records_of_a_section_that_overlaps(phantom_datalist: Path, section: str) -> None:
    datalist = load_datalist(phantom_datalist)
    with pytest.raises(BadInputError, match="pre-training must not see those"):
        pretraining_records(datalist.with_sections(**{section: datalist.training[:1]}))


def test_the_log_tells_what_is_read(phantom_datalist: Path, caplog: pytest.LogCaptureFixture) -> None:
    datalist = load_datalist(phantom_datalist)
    with caplog.at_level(logging.INFO):
        announce_training_section(datalist, 2, 4)
    assert f"pre-training on {len(datalist.training)} pictures of {len({i.patient for i in datalist.training})} patients" in caplog.text
    assert "(fold 2 of 4); validation and testing are not read" in caplog.text


def test_overlapping_sections_end_the_process(phantom_datalist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    datalist = load_datalist(phantom_datalist)
    with pytest.raises(SystemExit) as ended:
        announce_training_section(datalist.with_sections(testing=datalist.training[:1]))
    assert ended.value.code == 4
    assert "pre-training must not see those" in capsys.readouterr().err


@given(pictures=st.integers(1, 20_000), batch_size=st.integers(1, 512))
def test_the_queue_is_sized_to_the_data(pictures: int, batch_size: int) -> None:
    slots, batch = queue_slots(pictures, batch_size), min(batch_size, pictures)
    assert slots % batch == 0
    assert slots >= 2 * batch
    assert slots == 2 * batch or slots <= min(pictures // 2, 4096)
    assert slots + batch > min(pictures // 2, 4096)


def test_known_queues() -> None:
    assert queue_slots(4403, 64) == 2176  # 34 batches of 64 are at most 2201
    assert queue_slots(100_000, 64) == 4096
    assert queue_slots(20, 64) == 40
    assert queue_slots(4403, 64, queue_size=100) == 100


def test_networks_are_random_by_their_seed_alone() -> None:
    torch.manual_seed(1)
    first = build_contrastive_network("moco", ARGUMENTS, queue_size=8, momentum=0.5, seed=4)
    after = torch.rand(1)
    second = build_contrastive_network("simclr", ARGUMENTS, seed=4)
    assert isinstance(first, MoCoNet)
    assert (len(first.queue), first.momentum) == (8, 0.5)
    assert isinstance(second, SimCLRNet)
    assert all(torch.equal(value, second.encoder.state_dict()[name]) for name, value in first.encoder.state_dict().items())
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)
    with pytest.raises(UsageError, match="`method`"):
        build_contrastive_network("byol", ARGUMENTS)


def test_a_published_encoder_is_small_described_and_fits_a_training(phantom_datalist: Path, tmp_path: Path) -> None:
    datalist = load_datalist(phantom_datalist)
    network = build_contrastive_network("simclr", ARGUMENTS, seed=5)
    publish_encoder(str(tmp_path), network.encoder, SETTINGS, datalist, str(phantom_datalist), {"feature_spread": 0.75})
    file = tmp_path / "models" / "pretrained_encoder.pt"
    assert file.stat().st_size < 25 * 2**20
    description = torch.load(file, weights_only=True)["description"]
    assert {key: description[key] for key in SETTINGS if key != "max_epochs"} == {k: v for k, v in SETTINGS.items() if k != "max_epochs"}
    assert description["epochs"] == 7
    assert description["datalist_sha256"] == file_sha256(phantom_datalist)
    assert description["training_sha256"] == training_sha256(datalist)
    assert description["collapse"] == {"feature_spread": 0.75}
    assert sum(description["sources"].values()) == sum(description["licenses"].values()) == len(datalist.training)
    trained = build_training_network({"backbone": "resnet18"}, str(file))
    for name, value in network.encoder.state_dict().items():
        torch.testing.assert_close(trained.encoder.state_dict()[name], value.half().float() if value.ndim > 1 else value)
    notice = (tmp_path / "models" / "PRETRAINING_DATA.md").read_text()
    assert "Research use only" in notice
    assert all(source in notice for source in description["sources"])
    assert [found.name for found in sorted(file.parent.iterdir())] == ["PRETRAINING_DATA.md", "pretrained_encoder.pt"]
