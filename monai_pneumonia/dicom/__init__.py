"""DICOM in: is this a frontal chest X-ray that we may read? DICOM out: structured report, segmentation, overlay picture.

Writing results needs highdicom (``pip install 'monai-pneumonia[dicom]'``); the rest runs without.
"""

from monai_pneumonia.dicom.algorithm import Algorithm
from monai_pneumonia.dicom.gate import Refusal, RefusalReason, RefusedImageError, check_image, refusal_of
from monai_pneumonia.dicom.identifiers import ResultIdentifiers
from monai_pneumonia.dicom.source import mended_header, read_header
from monai_pneumonia.dicom.writing import WrittenResults, report_entry, write_results

__all__ = [
    "Algorithm",
    "Refusal",
    "RefusalReason",
    "RefusedImageError",
    "ResultIdentifiers",
    "WrittenResults",
    "check_image",
    "mended_header",
    "read_header",
    "refusal_of",
    "report_entry",
    "write_results",
]
