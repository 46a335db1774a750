"""Small radiograph files of all formats for the tests."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, generate_uid

CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT = "1.2.840.10008.1.2.1"

# What GDCM calls the transfer syntaxes that it can write.
GDCM_NAMES = {
    "jpeg_lossless": "JPEGLosslessProcess14",
    "jpeg_lossless_sv1": "JPEGLosslessProcess14_1",
    "jpeg_ls": "JPEGLSLossless",
    "jpeg_2000": "JPEG2000Lossless",
    "rle": "RLELossless",
}

# marker(32, 24) * 16 as a 12-bit JPEG, made with dcmtk's dcmcjpeg +ee +q 95; GDCM's own would state 16 bits. Values differ by 6 at most.
JPEG_12_BIT = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/wQALDAAgABgBAREA"
    "/8QAFwABAQEBAAAAAAAAAAAAAAAACgwLDf/EADUQAAEBAgoIBgEFAAAAAAAAAAECBAYAAwUHCAkKESFRCwwNEhMVMXEUFhcmobEYDhokQWH/2gAIAQEAAD8AFlsyE2bB7OxN"
    "NV6iQWunXIHXm7Tblv1sd9HOyr2719amqfefGyvPdNm91HhzqL8qTL1eAmffF4ZqGSr7pPTtvQ/cvT70z5UdFtbnbaDJjPJCXdaWiRJLZ5LlqXmsT+vQOhN9mhGjxHusjbHs600/"
    "7bEbd1JVLpdO4WvFqtZNC2cGaOMoTKdf8dvxV9LfOFX5RI5p5wS8dJDnvhEvx4byC7nG8s+IiQ8GSjUM2eFQEjLQ5IKQEKSCyquKQQIsdicSM8cIWJmrHtVSXK/T/hptOhIuQChL"
    "2aUtopSstnESb4wRc9VQCtSiOpxYld92Eg9UMWd5oVyX2Vcs8LAMysFqu+k9MviDVahmzwqAkZaHJBSAhSQWVVxSCBFjsTiRnjhAitQzZ3VAyMhbmHdBQlSizKv3QAYw978DmM4N"
    "VqGLO80K5L7KuWeFgGZWC1XfSemXxBqtQzZ4VASMtDkgpAQpILKq4pBAix2JxIzxwgRWoZs7qgZGQtzDugoSpRZlX7oAMYe9+BzGcGq1DFneaFcl9lXLPCwDMrBarvpPTL4hy8+Y"
    "XaXJrstRi4Hodpo9hkPw27wR+24q2WkJ3eg/kUc13j/D/eMP///Z"
)


def marker(height: int = 60, width: int = 44) -> np.ndarray:
    """An F-like mark on a slope: no flip, turn or transposition leaves it as it is. uint8 [H, W], values 0 to 255."""
    rows, columns = np.mgrid[:height, :width]
    picture = (40 + 60 * rows / height + 40 * columns / width).astype(np.uint8)
    picture[height // 10 : height // 2, width // 8 : width // 4] = 230
    picture[height // 10 : height // 5, width // 8 : width // 2] = 255
    picture[-height // 6 :, -width // 3 :] = 0
    return picture


def dicom_dataset(values: np.ndarray, bits: int | None = None, photometric: str = "MONOCHROME2", **tags: Any) -> Dataset:
    """A CR image of stored values [H, W] or [H, W, 3]; further tags replace or, where None, remove those that it has."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    dataset.SOPClassUID = CR_IMAGE
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CR"
    dataset.PatientName = "Secret^Name"
    dataset.PatientID = "secret-id"
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 1 if values.ndim == 2 else 3
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    allocated = 8 * values.dtype.itemsize
    dataset.BitsAllocated = allocated
    dataset.BitsStored = bits or allocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    data = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if allocated > 8 else "OB"
    for keyword, value in tags.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def save_dicom(dataset: Dataset, path: Path) -> Path:
    """Writes a data set with preamble and file meta information."""
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CR_IMAGE)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if int(pydicom.__version__.split(".")[0]) >= 3:
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    else:
        dataset.is_little_endian = dataset.file_meta.TransferSyntaxUID.is_little_endian
        dataset.is_implicit_VR = dataset.file_meta.TransferSyntaxUID.is_implicit_VR
        pydicom.dcmwrite(path, dataset, write_like_original=False)
    return path


def write_dicom(path: Path, values: np.ndarray, syntax: str = "", **arguments: Any) -> Path:
    """Writes :func:`dicom_dataset`; compressed, if ``jpeg_baseline`` (by Pillow) or a key of :data:`GDCM_NAMES` (by GDCM) is given."""
    dataset = dicom_dataset(values, **arguments)
    if syntax == "jpeg_baseline":
        stream = io.BytesIO()
        Image.fromarray(values).save(stream, "JPEG", quality=95, subsampling=0)
        encapsulate_frame(dataset, stream.getvalue(), "1.2.840.10008.1.2.4.50")
    save_dicom(dataset, path)
    if syntax in GDCM_NAMES:
        _compress(path, syntax)
    return path


def encapsulate_frame(dataset: Dataset, stream: bytes, syntax: str) -> None:
    """Puts a compressed stream in the place of a data set's pixels."""
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _compress(path: Path, syntax: str) -> None:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, GDCM_NAMES[syntax])))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


def lut_item(entries: list[int], first: int, bits: int) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "US", entries)
    return item
