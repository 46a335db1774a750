"""Ignite engines on top of monai.engines, and what a bundle run does before and after them."""

from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.engines.lesion_trainer import LesionTrainer, prepare_lesion_batch
from monai_pneumonia.engines.preflight import preflight
from monai_pneumonia.engines.publication import publish_weights
from monai_pneumonia.engines.run_data import load_run_datalist, prepare_datasets
from monai_pneumonia.engines.training import build_training_network, run_engine

__all__ = [
    "LesionTrainer",
    "build_training_network",
    "load_run_datalist",
    "one_line_errors",
    "preflight",
    "prepare_datasets",
    "prepare_lesion_batch",
    "publish_weights",
    "run_engine",
]
