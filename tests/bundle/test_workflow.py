"""The configurations as MONAI's ConfigWorkflow: properties that applications read and set, and runs in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bundle_runs import SMALL, bundle_process
from monai.bundle import ConfigWorkflow
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.utils import BundleProperty
from torch import nn

pytestmark = pytest.mark.slow

# Nothing here needs them, and MONAI wants them only where an engine refers to them.
NOT_DEFINED = {"train_postprocessing", "val_postprocessing", "postprocessing", "key_metric"}


def _workflow(*names: str, workflow_type: str, **override: Any) -> ConfigWorkflow:
    files = [f"configs/{name}.yaml" for name in names]
    return ConfigWorkflow(files, "configs/metadata.json", "configs/logging.conf", workflow_type=workflow_type, **override)


def _training_override(phantom_datalist: Path, **override: Any) -> dict[str, Any]:
    small = {key.removeprefix("--"): int(value) if value.isdigit() else value for key, value in zip(SMALL[::2], SMALL[1::2], strict=True)}
    return {**small, "ema_decay": 0.5, "datalist_path": str(phantom_datalist), "output_dir": "../output", **override}


def _check(workflow: ConfigWorkflow, properties: dict[str, Any]) -> None:
    """Every property that MONAI knows is there under its key, or is one that is left out on purpose."""
    assert not workflow.check_properties()
    for name, definition in {**properties, **MetaProperties}.items():
        value = getattr(workflow, name)
        assert (value is None) == (name in NOT_DEFINED), name
        assert value is not None or not definition[BundleProperty.REQUIRED]


def test_training_has_the_properties_that_monai_knows(bundle: Path, phantom_datalist: Path) -> None:
    with bundle_process(bundle):
        workflow = _workflow("train", workflow_type="train", **_training_override(phantom_datalist))
        workflow.initialize()
        _check(workflow, TrainProperties)
        assert isinstance(workflow.trainer, SupervisedTrainer)
        assert isinstance(workflow.evaluator, SupervisedEvaluator)
        assert isinstance(workflow.network_def, nn.Module)
        assert workflow.max_epochs == workflow.trainer.state.max_epochs == 30
        listed = json.loads(phantom_datalist.read_text())
        assert [item["id"] for item in workflow.train_dataset_data] == [item["id"] for item in listed["training"]]
        assert [item["id"] for item in workflow.val_dataset_data] == [item["id"] for item in listed["validation"]]
        assert workflow.channel_def == {"0": "normal", "1": "bacterial", "2": "viral", "3": "covid19"}


def test_the_check_finds_a_property_of_another_name(bundle: Path, phantom_datalist: Path) -> None:
    with bundle_process(bundle):
        elsewhere = {"train#trainer#train_handlers": "@handlers_elsewhere", "handlers_elsewhere": []}
        workflow = _workflow("train", workflow_type="train", **_training_override(phantom_datalist, **elsewhere))
        workflow.initialize()
        assert workflow.check_properties() == ["train_handlers"]


def test_properties_that_are_set_hold_in_the_run(bundle: Path, phantom_datalist: Path) -> None:
    with bundle_process(bundle):
        workflow = _workflow("train", workflow_type="train", **_training_override(phantom_datalist))
        workflow.initialize()
        chosen = workflow.train_dataset_data[:16]
        workflow.max_epochs = 1
        workflow.train_dataset_data = chosen
        workflow.initialize()
        assert not workflow.check_properties()
        workflow.run()
        workflow.finalize()
        assert workflow.trainer.state.epoch == workflow.trainer.state.max_epochs == 1
        assert len(workflow.train_dataset) == 16
        # One step of the schedule an iteration, so its end is the training's.
        assert workflow.parser.get_parsed_content("lr_scheduler").last_epoch == workflow.trainer.state.iteration == 2
        assert workflow.evaluator.state.metrics["macro_auc"] == workflow.parser.get_parsed_content("best").metric
    assert (bundle / "models" / "model.pt").is_file()


def test_training_on_several_devices_has_the_same_properties(bundle: Path, phantom_datalist: Path) -> None:
    with bundle_process(bundle):
        workflow = _workflow("train", "multi_gpu_train", workflow_type="train", **_training_override(phantom_datalist))
        assert workflow.parser["initialize"][1] == "$engines.join_processes()"
        workflow.parser["initialize"] = workflow.parser["initialize"][:1]
        workflow.parser["network"] = "$@network_def"
        workflow.initialize()
        assert not workflow.check_properties()


@pytest.mark.parametrize("name", ["evaluate", "inference"])
def test_recognition_has_the_properties_that_monai_knows(trained_bundle: Path, phantom_datalist: Path, name: str, tmp_path: Path) -> None:
    with bundle_process(trained_bundle):
        override = {"datalist_path": str(phantom_datalist), "output_dir": str(tmp_path / "output"), "maps": False}
        workflow = _workflow(name, workflow_type="infer", **override)
        workflow.initialize()
        _check(workflow, InferProperties)
        assert isinstance(workflow.evaluator, SupervisedEvaluator)
        assert [record["picture"].id for record in workflow.dataset_data] == [
            item["id"] for item in json.loads(phantom_datalist.read_text())["testing"]
        ]


def test_recognition_of_chosen_pictures_in_process(trained_bundle: Path, phantom_datalist: Path, tmp_path: Path) -> None:
    with bundle_process(trained_bundle):
        override = {"datalist_path": str(phantom_datalist), "output_dir": str(tmp_path / "output"), "maps": False}
        workflow = _workflow("inference", workflow_type="infer", **override)
        workflow.initialize()
        workflow.dataset_data = workflow.dataset_data[1:3]
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    rows = (tmp_path / "output" / "predictions.csv").read_text().splitlines()
    assert len(rows) == 3
