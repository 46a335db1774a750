"""The regions as DICOM segmentation: one binary segment a region, pixel for pixel on the source image."""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence, PixelMeasuresSequence
from highdicom.content import PlaneOrientationSequence
from highdicom.enum import CoordinateSystemNames
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.dicom import concepts
from monai_pneumonia.dicom.algorithm import ALGORITHM_NAME, MANUFACTURER
from monai_pneumonia.dicom.common import COMPRESSION, SEGMENTATION, ResultContext, make_repeatable, take_over
from monai_pneumonia.inference.report import LesionRegion
from monai_pneumonia.radiograph.dicom_tags import unchecked_values

CONTENT_LABEL = "PNEUMONIA_LESION"
# Millimetres. A projection has no slices, but highdicom does not read a segmentation that states a spacing without a thickness.
NOMINAL_THICKNESS = 1.0


def segmentation(context: ResultContext, pixel_spacing: tuple[float, float] | None) -> Segmentation:
    """Builds the segmentation of one image's regions. Research use only, not for diagnosis.

    It states that the image's plane lies at (1, 0, 0, 0, 1, 0), although the standard (PS3.3 A.51.5) wants an orientation only where
    there is a frame of reference, which radiographs lack: without it OHIF never shows the segmentation.

    Args:
        context: the image's header, report and algorithm.
        pixel_spacing: of the image, millimetres between rows and between columns; None where it is not known.

    Raises:
        ValueError: the report has no region, or its regions have another size than the image.
    """
    report, header = context.report, context.header
    if not report.lesions:
        raise ValueError("the report has no region: there is nothing to segment")
    if report.lesion_labels.shape != (header.Rows, header.Columns):
        raise ValueError(f"the regions are {list(report.lesion_labels.shape)}, the image {header.Rows} x {header.Columns}")
    with unchecked_values():
        result = Segmentation(
            source_images=[_without_compression(header)],
            pixel_array=report.lesion_labels.astype(np.uint16),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[_segment(context, region) for region in report.lesions],
            content_label=CONTENT_LABEL,
            content_description=RESEARCH_USE_ONLY,
            # Without a value: the standard wants the attribute, and nobody made the content by hand.
            content_creator_name="",
            pixel_measures=None if pixel_spacing is None else PixelMeasuresSequence(pixel_spacing, NOMINAL_THICKNESS),
            **context.instance(SEGMENTATION),
        )
        take_over(result, header, *COMPRESSION)
        _set_plane(result)
        _set_dimension_organization(result, context)
        make_repeatable(result, header)
    return result


def _without_compression(header: Dataset) -> Dataset:
    """The header as highdicom takes it in all its versions: some fail on a lossy image that states no ratio."""
    plain = Dataset()
    plain.update({element.tag: element for element in header if element.keyword not in COMPRESSION})
    return plain


def _segment(context: ResultContext, region: LesionRegion) -> SegmentDescription:
    supervised = context.report.regions_are_lesions
    name, uid = context.tracking(region)
    return SegmentDescription(
        segment_number=region.number,
        segment_label=name,
        segmented_property_category=concepts.LESION_CATEGORY if supervised else concepts.ATTENTION_CATEGORY,
        segmented_property_type=concepts.LESION if supervised else concepts.ATTENTION_REGION,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=ALGORITHM_NAME,
            family=concepts.ARTIFICIAL_INTELLIGENCE,
            version=context.algorithm.version,
            source=MANUFACTURER,
            parameters=context.algorithm.parameters,
        ),
        tracking_uid=uid,
        tracking_id=name,
    )


def _set_plane(result: Segmentation) -> None:
    plane = PlaneOrientationSequence(CoordinateSystemNames.PATIENT, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    result.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = plane


def _set_dimension_organization(result: Segmentation, context: ResultContext) -> None:
    """Replaces the identifier that highdicom makes at random."""
    uid = context.identifiers.uid("seg", "dimensions")
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
