"""The result as structured report: Comprehensive 3D SR after template TID 1500, which any PACS files and any reader can print."""

from __future__ import annotations

import numpy as np
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem

from monai_pneumonia.dicom import concepts
from monai_pneumonia.dicom.algorithm import ALGORITHM_NAME, MANUFACTURER, MODEL_NAME
from monai_pneumonia.dicom.common import REPORT, ResultContext, make_repeatable, notices
from monai_pneumonia.dicom.outlines import outline
from monai_pneumonia.inference.report import PNEUMONIA, LesionRegion
from monai_pneumonia.radiograph.dicom_tags import unchecked_values

WHOLE_IMAGE = "Whole image (research use only, not for diagnosis)"
_DIGITS = 6


def structured_report(context: ResultContext) -> sr.Comprehensive3DSR:
    """Builds the structured report of one image. Research use only, not for diagnosis.

    Its first group of measurements belongs to the whole image: the pneumonia probability, its operating point, the decision, and the
    probability of each class as a research score. One group follows for each region: its polygon in image coordinates, and its area in
    pixels and, where the pixel spacing is known, in square millimetres. Notices and the report's warnings close it.

    Args:
        context: the image's header, report and algorithm.

    Returns:
        the report, unverified and preliminary, with patient and study of the image.
    """
    with unchecked_values():
        content = sr.MeasurementReport(
            observation_context=_observer(context),
            procedure_reported=concepts.CHEST_RADIOGRAPHY,
            imaging_measurements=[_whole_image(context), *(_region(context, region) for region in context.report.lesions)],
        )
        content[0].ContentSequence.append(_notices(context))
        result = sr.Comprehensive3DSR(
            evidence=[context.header],
            content=content,
            is_complete=True,
            coding_schemes=[_own_scheme()],
            **context.instance(REPORT),
        )
        make_repeatable(result, context.header)
    return result


def _observer(context: ResultContext) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=context.identifiers.device_uid,
        name=ALGORITHM_NAME,
        manufacturer_name=MANUFACTURER,
        model_name=MODEL_NAME,
        serial_number=context.algorithm.weights_sha256[:16] or "none",
    )
    return sr.ObservationContext(observer_device_context=sr.ObserverContext(concepts.DEVICE, device))


def _own_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(
        designator=concepts.SCHEME, name=concepts.SCHEME_NAME, responsible_organization=f"{MANUFACTURER} project"
    )


def _algorithm(context: ResultContext) -> sr.AlgorithmIdentification:
    parameters = [f"{name}={value}" for name, value in context.algorithm.parameters.items()]
    return sr.AlgorithmIdentification(name=ALGORITHM_NAME, version=context.algorithm.version, parameters=parameters)


def _number(name: sr.CodedConcept, value: float) -> sr.Measurement:
    return sr.Measurement(name=name, value=round(value, _DIGITS), unit=concepts.NO_UNITS)


def _whole_image(context: ResultContext) -> sr.MeasurementsAndQualitativeEvaluations:
    report, header = context.report, context.header
    decision = concepts.AT_OR_ABOVE if report.decision == PNEUMONIA else concepts.BELOW
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=context.identifiers.uid("image"), identifier=WHOLE_IMAGE),
        algorithm_id=_algorithm(context),
        source_images=[sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)],
        measurements=[
            _inferred_from_whole_image(_number(concepts.PNEUMONIA_SCORE, report.p_pneumonia), context),
            _number(concepts.OPERATING_POINT, context.algorithm.operating_point),
            *(_number(concepts.class_score(name), value) for name, value in report.probabilities.items()),
            _number(concepts.UNCERTAINTY, report.uncertainty),
        ],
        qualitative_evaluations=[sr.QualitativeEvaluation(name=concepts.DECISION, value=decision)],
    )


def _inferred_from_whole_image(score: sr.Measurement, context: ResultContext) -> sr.Measurement:
    """States the image's frame as the place that a score was inferred from (TID 320).

    Without a place in some group OHIF fails on it, and shows neither image nor regions when the report is opened.
    """
    header = context.header
    rows, columns = header.Rows, header.Columns
    # Not highdicom's CoordinatesForMeasurement, which its older versions lack.
    frame = sr.ScoordContentItem(
        name=concepts.SOURCE,
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array([(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)], dtype=float),
        relationship_type=sr.RelationshipTypeValues.INFERRED_FROM,
    )
    frame.ContentSequence = [sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID)]
    score[0].ContentSequence = sr.ContentSequence([frame])
    return score


def _region(context: ResultContext, region: LesionRegion) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    header, supervised = context.header, context.report.regions_are_lesions
    name, uid = context.tracking(region)
    areas = [sr.Measurement(name=concepts.AREA, value=region.area_pixels, unit=concepts.PIXELS)]
    if region.area_mm2 is not None:
        areas.append(sr.Measurement(name=concepts.AREA, value=round(region.area_mm2, 2), unit=concepts.SQUARE_MILLIMETRES))
    polygon = sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=outline(context.report.region_mask(region)),
        source_image=sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID),
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=name),
        referenced_region=polygon,
        finding_type=concepts.LESION if supervised else concepts.ATTENTION_REGION,
        algorithm_id=_algorithm(context),
        measurements=areas,
    )


def _notices(context: ResultContext) -> sr.ContainerContentItem:
    """The texts for the reader: rows 12 to 14 of TID 1500."""
    contains = sr.RelationshipTypeValues.CONTAINS
    container = sr.ContainerContentItem(name=concepts.EVALUATIONS, relationship_type=contains)
    texts = [sr.TextContentItem(concepts.COMMENT, text, relationship_type=contains) for text in notices(context.report)]
    container.ContentSequence = sr.ContentSequence(texts)
    return container
