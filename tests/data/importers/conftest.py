"""Miniatures of the public layouts, written anew for each test; each importer has one here, under its own name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from monai_pneumonia.data.importers import PictureFolder


@dataclass
class Miniature:
    """A source on disk, and how to call its importer.

    Attributes:
        source: the importer's first argument.
        records: how many pictures it lists.
        imported: how many of them can be imported.
    """

    source: Path
    records: int
    imported: int
    options: dict[str, Any] = field(default_factory=dict)


class Pictures:
    """Writes pictures of noise, no two alike."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def write(self, path: Path, side: int = 16) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.pixels(side)).save(path)
        return path

    def dicom(self, path: Path, **tags: str) -> Path:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        content = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        if pydicom.__version__ < "3":
            content.is_little_endian, content.is_implicit_VR = True, False
        content.SOPClassUID, content.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        content.Modality, content.PhotometricInterpretation = "CR", "MONOCHROME2"
        content.Rows = content.Columns = 16
        content.SamplesPerPixel, content.PixelRepresentation = 1, 0
        content.BitsAllocated, content.BitsStored, content.HighBit = 8, 8, 7
        content.PixelData = self.pixels(16).tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # Ages such as '51', which break DICOM's form, are as the challenge has them.
            warnings.simplefilter("ignore")
            for name, value in tags.items():
                setattr(content, name, value)
            content.save_as(path)
        return path

    def pixels(self, side: int) -> np.ndarray:
        return self._random.integers(0, 256, (side, side), dtype=np.uint8)


def write_rows(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture
def rows() -> Callable[..., Path]:
    return write_rows


def make_csv(root: Path, pictures: Pictures) -> Miniature:
    lines = ["image,label,patient_id,age"]
    for number in range(12):
        pictures.write(root / "images" / f"{number}.png")
        lines.append(f"images/{number}.png,{('normal', 'bacterial', 'viral', 'covid19')[number % 4]},p{number // 2},{40 + number}")
    lines.append("images/gone.png,normal,p99,50")
    return Miniature(write_rows(root / "table.csv", *lines), records=13, imported=12)


def make_folders(root: Path, pictures: Pictures) -> Miniature:
    for label in ("normal", "viral"):
        for number in range(6):
            pictures.write(root / label / f"{number}.png")
    (root / "normal" / "notes.txt").touch()
    return Miniature(root, records=13, imported=12)


def make_medmnist(root: Path, pictures: Pictures) -> Miniature:
    archive = root / "pneumoniamnist.npz"
    root.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for split, count in (("train", 10), ("val", 4), ("test", 6)):
        arrays[f"{split}_images"] = np.stack([pictures.pixels(28) for _ in range(count)])
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    np.savez(archive, **arrays)
    return Miniature(archive, records=20, imported=20, options={"pictures": PictureFolder(root / "written")})


def make_rsna(root: Path, pictures: Pictures) -> Miniature:
    boxes = ["patientId,x,y,width,height,Target"]
    classes = ["patientId,class"]
    for number in range(12):
        name = f"0004cfab-14fd-4e49-80ba-63a80b6b{number:04d}"
        kind = ("Lung Opacity", "Normal", "No Lung Opacity / Not Normal")[number % 3]
        times = 2 if kind == "Lung Opacity" else 1
        for copy in range(times):
            boxes.append(f"{name},{2.0 + copy},3.0,4.0,5.0,1" if kind == "Lung Opacity" else f"{name},,,,,0")
            classes.append(f"{name},{kind}")
        if number != 11:
            pictures.dicom(
                root / "stage_2_train_images" / f"{name}.dcm",
                PatientID=name,
                PatientAge=str(30 + number),
                PatientSex="MF"[number % 2],
                ViewPosition=("PA", "AP")[number % 2],
            )
    write_rows(root / "stage_2_train_labels.csv", *boxes)
    write_rows(root / "stage_2_detailed_class_info.csv", *classes)
    return Miniature(root, records=12, imported=11)


NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def make_nih(root: Path, pictures: Pictures) -> Miniature:
    findings = ("No Finding", "Pneumonia", "Infiltration|Pneumonia", "Cardiomegaly|Effusion")
    lines, train, test = [NIH_HEADER], [], []
    for number in range(12):
        name = f"{number // 2:08d}_{number % 2:03d}.png"
        age = "411" if number == 3 else str(50 + number)
        lines.append(f"{name},{findings[number % 4]},{number % 2},{number // 2},{age},{'MF'[number % 2]},PA,2682,2749,0.143,0.143,")
        pictures.write(root / f"images_{1 + number % 2:03d}" / "images" / name, side=64)
        (train if number < 8 else test).append(name)
    lines.append("00000099_000.png,Pneumonia,0,99,60,F,AP,2500,2048,0.168,0.168,")
    write_rows(root / "Data_Entry_2017_v2020.csv", *lines)
    write_rows(root / "train_val_list.txt", *train)
    write_rows(root / "test_list.txt", *test)
    write_rows(
        root / "BBox_List_2017.csv",
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000000_001.png,Pneumonia,160.0,320.0,480.0,240.0,,,",
        "00000001_000.png,Infiltrate,16.0,32.0,48.0,64.0,,,",
        "00000001_001.png,Cardiomegaly,1.0,2.0,3.0,4.0,,,",
    )
    return Miniature(root, records=13, imported=12)


def make_guangzhou(root: Path, pictures: Pictures) -> Miniature:
    top = root / "chest_xray"
    names = {
        "train": (
            ["IM-0115-0001", "IM-0117-0001", "NORMAL2-IM-0383-0001"],
            ["person1_bacteria_1", "person1_bacteria_2", "person3_virus_11"],
        ),
        "val": (["NORMAL2-IM-1427-0001"], ["person1946_bacteria_4874"]),
        "test": (["IM-0001-0001", "NORMAL2-IM-0383-0001-0002"], ["person1_virus_6", "person80_bacteria_390"]),
    }
    for split, kinds in names.items():
        for kind, stems in zip(("NORMAL", "PNEUMONIA"), kinds, strict=True):
            for stem in stems:
                pictures.write(top / split / kind / f"{stem}.jpeg")
    (top / "train" / "NORMAL" / ".DS_Store").touch()
    return Miniature(root, records=13, imported=12)


COVID_HEADER = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,intubated,intubation_present,went_icu,in_icu,needed_supplemental_O2,extubated,"
    "temperature,pO2_saturation,leukocyte_count,neutrophil_count,lymphocyte_count,view,modality,date,location,folder,filename,doi,url,license,"
    "clinical_notes,other_notes,"
)


def covid_row(patient: str, finding: str, filename: str, view: str = "PA", modality: str = "X-ray", folder: str = "images") -> str:
    return f'{patient},0,M,65,{finding},Y,,,,,,,,,,,,,{view},{modality},2020,"Hanoi, Vietnam",{folder},{filename},,,CC BY-SA,"a ""note""",,'


def make_covid19(root: Path, pictures: Pictures) -> Miniature:
    findings = (
        "Pneumonia/Viral/COVID-19",
        "Pneumonia/Bacterial/Streptococcus",
        "Pneumonia/Viral/Influenza/H1N1",
        "Pneumonia/Fungal/Pneumocystis",
        "Pneumonia",
        "No Finding",
    )
    lines = [COVID_HEADER]
    for number in range(12):
        pictures.write(root / "images" / f"case-{number}.jpg")
        view = ("PA", "AP", "AP Supine", "AP Erect")[number % 4]
        lines.append(covid_row(str(number // 2), findings[number % 6], f"case-{number}.jpg", view))
    lines.append(covid_row("50", findings[0], "lateral.jpg", view="L"))
    lines.append(covid_row("51", findings[0], "volume.nii.gz", view="Axial", modality="CT", folder="volumes"))
    lines.append(covid_row("52", findings[0], "gone.jpg"))
    write_rows(root / "metadata.csv", *lines)
    return Miniature(root, records=15, imported=12)


MINIATURES: dict[str, Callable[[Path, Pictures], Miniature]] = {
    "csv": make_csv,
    "folders": make_folders,
    "medmnist": make_medmnist,
    "rsna": make_rsna,
    "nih": make_nih,
    "guangzhou": make_guangzhou,
    "covid19": make_covid19,
}


@pytest.fixture
def miniature(tmp_path, pictures) -> Callable[[str], Miniature]:
    """Writes the miniature of an importer's layout."""

    def make(name: str) -> Miniature:
        assert name in MINIATURES, f"write a miniature of '{name}' in {__file__}"
        return MINIATURES[name](tmp_path / name, pictures)

    return make
