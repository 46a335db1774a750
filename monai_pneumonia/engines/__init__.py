"""Ignite engines on top of monai.engines, and what a bundle run does before and after them."""

from monai_pneumonia.engines.contrastive_pretrainer import ContrastiveLoss, ContrastivePretrainer, prepare_contrastive_batch
from monai_pneumonia.engines.distributed import distribute, join_processes, leave_processes, local_device
from monai_pneumonia.engines.encoder_data import check_encoder_data
from monai_pneumonia.engines.faults import guarded, one_line_errors
from monai_pneumonia.engines.lesion_trainer import LesionTrainer, prepare_lesion_batch
from monai_pneumonia.engines.outline_guide import OutlineGuide
from monai_pneumonia.engines.outlined_sampler import OutlinedSampler
from monai_pneumonia.engines.outlines import training_preprocessing, training_sampler, uses_outlines
from monai_pneumonia.engines.preflight import preflight, preflight_recognition
from monai_pneumonia.engines.probing import probe_encoder, probe_values, run_probes
from monai_pneumonia.engines.probing_preflight import preflight_probes
from monai_pneumonia.engines.publication import publish_weights
from monai_pneumonia.engines.recognition import (
    PictureDataset,
    PredictionFiles,
    RecognitionEvaluator,
    end_recognition,
    picture_records,
    report_recognition,
)
from monai_pneumonia.engines.regulation import build_regulation
from monai_pneumonia.engines.repeatable_trainer import RepeatableTrainer, batch_loss
from monai_pneumonia.engines.run_data import data_fingerprint, load_run_datalist, prepare_datasets
from monai_pneumonia.engines.training import build_training_network, run_engine
from monai_pneumonia.engines.training_inferer import TrainingInferer, cpu_has_bfloat16

__all__ = [
    "ContrastiveLoss",
    "ContrastivePretrainer",
    "LesionTrainer",
    "OutlineGuide",
    "OutlinedSampler",
    "PictureDataset",
    "PredictionFiles",
    "RecognitionEvaluator",
    "RepeatableTrainer",
    "TrainingInferer",
    "batch_loss",
    "build_regulation",
    "build_training_network",
    "check_encoder_data",
    "cpu_has_bfloat16",
    "data_fingerprint",
    "distribute",
    "end_recognition",
    "guarded",
    "join_processes",
    "leave_processes",
    "load_run_datalist",
    "local_device",
    "one_line_errors",
    "picture_records",
    "preflight",
    "preflight_probes",
    "preflight_recognition",
    "prepare_contrastive_batch",
    "prepare_datasets",
    "prepare_lesion_batch",
    "probe_encoder",
    "probe_values",
    "publish_weights",
    "report_recognition",
    "run_engine",
    "run_probes",
    "training_preprocessing",
    "training_sampler",
    "uses_outlines",
]
