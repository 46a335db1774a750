"""``--tracking mlflow`` with MONAI's default settings."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from bundle_runs import SMALL, bundle_command, run_here

pytestmark = pytest.mark.slow
mlflow = pytest.importorskip("mlflow", reason="needs the extra `tracking`")


def test_a_training_and_an_evaluation_are_tracked_below_the_output(
    bundle: Path, phantom_datalist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    output = bundle.parent / "output"
    options = ("--datalist_path", str(phantom_datalist), "--output_dir", str(output), "--tracking", "mlflow")
    run_here(bundle, bundle_command("configs/train.yaml", *options, "--run_name", "training", *SMALL, "--max_epochs", "2"))
    run_here(bundle, bundle_command("configs/evaluate.yaml", *options, "--run_name", "evaluation", "--resamples", "0", "--maps", "False"))

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{output / 'mlruns.db'}")
    experiment = client.get_experiment_by_name("monai_experiment")
    runs = {run.info.run_name: run for run in client.search_runs(experiment.experiment_id)}
    assert set(runs) == {"training", "evaluation"}
    assert all(run.info.status == "FINISHED" for run in runs.values())
    assert experiment.artifact_location == f"file://{output / 'mlruns'}"

    training = runs["training"].info.run_id
    assert runs["training"].data.params["max_epochs"] == "2"
    losses = client.get_metric_history(training, "train_loss")
    assert all(math.isfinite(loss.value) for loss in losses)
    validated = client.get_metric_history(training, "macro_auc")
    assert [metric.step for metric in validated] == [1, 2]

    executed = [json.loads(file.read_text()) for file in sorted(output.glob("config_*.json"))]
    assert executed[0]["max_epochs"] == 2
    assert not (bundle / "mlruns").exists()
