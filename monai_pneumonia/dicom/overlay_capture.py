"""The result as a picture: a Secondary Capture with the attention over the image, a legend, and the notice burned in."""

from __future__ import annotations

import numpy as np
from highdicom.enum import CoordinateSystemNames, PhotometricInterpretationValues
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.dicom.common import CAPTURE, COMPRESSION, ResultContext, make_repeatable, take_over
from monai_pneumonia.inference.overlay import draw_overlay
from monai_pneumonia.radiograph.dicom_tags import unchecked_values


def overlay_capture(context: ResultContext, pixels: np.ndarray) -> SCImage:
    """Builds the overlay picture of one image, RGB. Research use only, not for diagnosis.

    Args:
        context: the image's header, report and algorithm.
        pixels: the image as :func:`monai_pneumonia.radiograph.read_radiograph` gives it, [H, W] in [0, 1].

    Raises:
        ValueError: the report's map has another size than the image.
    """
    header = context.header
    with unchecked_values():
        result = SCImage.from_ref_dataset(
            ref_dataset=header,
            pixel_array=draw_overlay(pixels, context.report),
            photometric_interpretation=PhotometricInterpretationValues.RGB,
            bits_allocated=8,
            coordinate_system=CoordinateSystemNames.PATIENT,
            patient_orientation=("L", "F"),  # highdicom wants one; the source's follows
            **context.instance(CAPTURE),
        )
        take_over(result, header, "PatientOrientation", "BurnedInAnnotation", *COMPRESSION)
        result.Laterality = ""  # the standard wants it stated, if only as empty, where no body part is
        result.ImageComments = RESEARCH_USE_ONLY
        result.DerivationDescription = "Attention map and regions of a recogniser drawn over the image, with a legend"
        result.SourceImageSequence = [_reference(header)]
        make_repeatable(result, header)
    return result


def _reference(header: Dataset) -> Dataset:
    item, purpose = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code.value, code.scheme_designator, code.meaning
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
