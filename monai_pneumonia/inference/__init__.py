"""The one inference path: picture in, LesionReport out."""

from monai_pneumonia.inference.calibration import Calibration, load_calibration, save_calibration
from monai_pneumonia.inference.pictures import PictureFile, PictureFiles, file_name_of, find_pictures
from monai_pneumonia.inference.predictions import PredictionWriter, check_output, prediction_columns
from monai_pneumonia.inference.recognizer import LesionRecognizer
from monai_pneumonia.inference.report import LesionRegion, LesionReport
from monai_pneumonia.inference.weights import WeightsDescription, load_weights, save_weights

__all__ = [
    "Calibration",
    "LesionRecognizer",
    "LesionRegion",
    "LesionReport",
    "PictureFile",
    "PictureFiles",
    "PredictionWriter",
    "WeightsDescription",
    "check_output",
    "file_name_of",
    "find_pictures",
    "load_calibration",
    "load_weights",
    "prediction_columns",
    "save_calibration",
    "save_weights",
]
