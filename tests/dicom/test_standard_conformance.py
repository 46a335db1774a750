"""Results of real and synthetic images before dicom-validator, which knows attributes, conditions and values from the standard's tables.

dciodvfy (test_result_conformance.py) knows newer editions, and the templates of structured reports, which dicom-validator does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pydicom
import pytest
from lesion_reports import ALGORITHM, spots_of
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from standard_edition import write_edition

from monai_pneumonia.dicom import write_results
from monai_pneumonia.radiograph import read_radiograph
from monai_pneumonia.radiograph.dicom_tags import unchecked_values

pytest.importorskip("dicom_validator", reason="dicom-validator is not installed (pip install --group conformance); it needs pydicom 3")
from dicom_validator.spec_reader.edition_reader import EditionReader
from dicom_validator.validator.error_handler import NullValidationResultHandler
from dicom_validator.validator.iod_validator import IODValidator
from dicom_validator.validator.validation_result import Status

ErrorsOf = Callable[[Dataset], set[str]]

# For each real file how many errors it has itself. None of them may be found in its results: what is badly written is mended.
SOURCE_ERRORS = {
    "gustavo198saavedra_UAO-Neumonia-Gustavo__normal_2.dcm": 2,
    "gustavo198saavedra_UAO-Neumonia-Gustavo__normal_3.dcm": 3,
    "gustavo198saavedra_UAO-Neumonia-Gustavo__viral_2.dcm": 2,
    "gustavo198saavedra_UAO-Neumonia-Gustavo__viral_3.dcm": 2,
    "ivmartel_dwv__gdcm-CR-MONO1-10-chest.dcm": 20,
    "mlmed_torchxrayvision__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm": 2,
    "mlmed_torchxrayvision__Fake_MONOHR1.dcm": 2,
    "pydicom_pydicom-data__RG1_J2KI.dcm": 9,
    "robyoung_dicom-test-files__RG1_JLSN.dcm": 9,
}


@pytest.fixture(scope="module")
def errors_of(tmp_path_factory: pytest.TempPathFactory) -> ErrorsOf:
    """A function from a data set to its errors, each the attribute's place and what is wrong, without its value."""
    folder = tmp_path_factory.mktemp("standard")
    write_edition(folder)
    standard = EditionReader(folder).dicom_info_for_edition("local")

    def errors(dataset: Dataset) -> set[str]:
        with unchecked_values():
            result = IODValidator(dataset, standard, error_handler=NullValidationResultHandler()).validate()
        # Any other status says that nothing was checked.
        assert result.status in (Status.Passed, Status.Failed)
        found = [(tag, error) for tags in result.module_errors.values() for tag, error in tags.items()]
        return {f"{'.'.join(_name(tag) for tag in (*(place.parents or ()), place.tag))} {error.code.name}" for place, error in found}

    return errors


def _name(tag: int) -> str:
    return keyword_for_tag(tag) or f"{tag:08x}"


def read(file: Path) -> Dataset:
    with unchecked_values():
        return pydicom.dcmread(file)


def results_of(file: Path, folder: Path) -> dict[str, Dataset]:
    radiograph = read_radiograph(file)
    written = write_results(file, spots_of(radiograph), ALGORITHM, folder, radiograph)
    return {kind: read(result) for kind, result in written.files.items()}


@pytest.mark.realdata
@pytest.mark.parametrize("name", SOURCE_ERRORS)
def test_results_of_real_files_have_no_error(real_data: Path, name: str, tmp_path: Path, errors_of: ErrorsOf) -> None:
    file = real_data / "cxr-dicom" / name
    assert len(errors_of(read(file))) == SOURCE_ERRORS[name]
    for kind, result in results_of(file, tmp_path).items():
        assert errors_of(result) == set(), kind


def test_phantoms_in_every_form_and_their_results_have_no_error(phantom_dicom_folder: Path, tmp_path: Path, errors_of: ErrorsOf) -> None:
    for file in sorted((phantom_dicom_folder / "images").glob("*.dcm"))[:16]:
        assert errors_of(read(file)) == set(), file.name
        for kind, result in results_of(file, tmp_path).items():
            assert errors_of(result) == set(), (file.name, kind)


@pytest.fixture(scope="module")
def objects(phantom_dicom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """A CR and a DX image, and the three results of the latter: read, do not change."""
    files = sorted((phantom_dicom_folder / "images").glob("*.dcm"))
    images = {dataset.Modality.lower(): dataset for dataset in map(read, files)}
    dx = next(file for file in files if read(file).Modality == "DX")
    return images | results_of(dx, tmp_path_factory.mktemp("results"))


def holder(dataset: Dataset, place: str) -> tuple[Dataset, str]:
    """The data set that an attribute stands in, in the first item of each sequence, and the attribute's keyword."""
    *sequences, keyword = place.split(".")
    for sequence in sequences:
        dataset = dataset[sequence].value[0]
    return dataset, keyword


REMOVED = [
    ("cr", "ViewPosition"),
    ("dx", "PresentationIntentType"),
    ("dx", "ViewCodeSequence.CodeMeaning"),
    ("sr", "CompletionFlag"),
    ("sr", "CurrentRequestedProcedureEvidenceSequence.ReferencedSeriesSequence.SeriesInstanceUID"),
    ("sr", "ContentSequence.RelationshipType"),
    ("sr", "ContentSequence.ConceptNameCodeSequence.CodingSchemeDesignator"),
    ("seg", "SegmentationType"),
    ("seg", "ContentCreatorName"),
    ("seg", "SegmentSequence.SegmentLabel"),
    ("seg", "SegmentSequence.SegmentAlgorithmName"),
    ("seg", "SegmentSequence.SegmentedPropertyTypeCodeSequence.CodeMeaning"),
    ("seg", "PerFrameFunctionalGroupsSequence.SegmentIdentificationSequence.ReferencedSegmentNumber"),
    ("seg", "PerFrameFunctionalGroupsSequence.DerivationImageSequence.SourceImageSequence.ReferencedSOPInstanceUID"),
    ("sc", "ConversionType"),
    ("sc", "PlanarConfiguration"),
    ("sc", "SourceImageSequence.ReferencedSOPClassUID"),
]


@pytest.mark.parametrize(("kind", "place"), REMOVED)
def test_a_missing_attribute_is_found(objects: dict[str, Dataset], errors_of: ErrorsOf, kind: str, place: str) -> None:
    spoilt = deepcopy(objects[kind])
    dataset, keyword = holder(spoilt, place)
    del dataset[keyword]
    assert errors_of(spoilt) == {f"{place} TagMissing"}


CHANGED = [
    ("sr", "CompletionFlag", "MAYBE", "EnumValueNotAllowed"),
    ("sr", "ContentSequence.ContinuityOfContent", "SEPARATE", "TagUnexpected"),
    # One bit, as the segmentation is binary.
    ("seg", "BitsAllocated", 8, "EnumValueNotAllowed"),
    ("seg", "SegmentSequence.SegmentLabel", "", "TagEmpty"),
    ("sc", "PatientAge", "54", "InvalidValue"),
    ("sc", "ViewPosition", "PA", "TagUnexpected"),
]


@pytest.mark.parametrize(("kind", "place", "value", "error"), CHANGED)
def test_a_wrong_attribute_is_found(
    objects: dict[str, Dataset], errors_of: ErrorsOf, kind: str, place: str, value: Any, error: str
) -> None:
    spoilt = deepcopy(objects[kind])
    dataset, keyword = holder(spoilt, place)
    with unchecked_values():
        setattr(dataset, keyword, value)
    assert errors_of(spoilt) == {f"{place} {error}"}


def content_items(dataset: Dataset, place: str = "") -> Iterator[tuple[str, Dataset]]:
    """The content items of a report at any depth, and the place of their attributes."""
    yield place, dataset
    for item in dataset.get("ContentSequence", ()):
        yield from content_items(item, f"{place}ContentSequence.")


@pytest.mark.parametrize(
    ("value_type", "keyword"),
    [
        ("CODE", "ConceptCodeSequence"),
        ("CONTAINER", "ContinuityOfContent"),
        ("IMAGE", "ReferencedSOPSequence"),
        ("NUM", "MeasuredValueSequence"),
        ("SCOORD", "GraphicType"),
        ("TEXT", "TextValue"),
        ("UIDREF", "UID"),
    ],
)
def test_a_content_item_without_its_value_is_found(objects: dict[str, Dataset], errors_of: ErrorsOf, value_type: str, keyword: str) -> None:
    spoilt = deepcopy(objects["sr"])
    place, item = [found for found in content_items(spoilt) if found[1].ValueType == value_type][-1]
    del item[keyword]
    assert errors_of(spoilt) == {f"{place}{keyword} TagMissing"}


def test_the_shape_of_a_region_is_one_that_the_standard_lists(objects: dict[str, Dataset], errors_of: ErrorsOf) -> None:
    spoilt = deepcopy(objects["sr"])
    place, item = next(found for found in content_items(spoilt) if found[1].ValueType == "SCOORD")
    item.GraphicType = "SQUARE"
    assert errors_of(spoilt) == {f"{place}GraphicType EnumValueNotAllowed"}
