"""Every transfer syntax gives back the stored values, by decoders that we may use."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import UID
from radiograph_files import GDCM_NAMES, JPEG_12_BIT, dicom_dataset, encapsulate_frame, marker, save_dicom, write_dicom

from monai_pneumonia.radiograph import dicom_pixels, gdcm_process
from monai_pneumonia.radiograph.dicom_pixels import DecodingError, _first_frame, stored_values


def _decoded(path: Path) -> np.ndarray:
    return np.asarray(stored_values(pydicom.dcmread(path))[0])


@pytest.mark.parametrize("syntax", ["", *GDCM_NAMES])
@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_lossless_syntaxes_give_the_stored_values(syntax: str, bits: int, tmp_path: Path) -> None:
    values = (marker().astype(np.float64) / 255 * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal(_decoded(write_dicom(tmp_path / "a.dcm", values, syntax, bits=bits)), values)


@pytest.mark.parametrize("syntax", ["", "rle", "jpeg_ls", "jpeg_2000", "jpeg_lossless"])
def test_signed_values(syntax: str, tmp_path: Path) -> None:
    values = marker().astype(np.int16) * 16 - 2048
    np.testing.assert_array_equal(_decoded(write_dicom(tmp_path / "a.dcm", values, syntax, bits=12)).astype(np.int16), values)


def test_jpeg_baseline_comes_near(tmp_path: Path) -> None:
    decoded = _decoded(write_dicom(tmp_path / "a.dcm", marker(), "jpeg_baseline")).astype(int)
    assert np.abs(decoded - marker()).mean() < 1.5
    assert np.abs(decoded - marker()).max() < 40


def test_12_bit_jpeg_comes_near(tmp_path: Path) -> None:
    values = marker(32, 24).astype(np.uint16) * 16
    dataset = dicom_dataset(values, bits=12)
    encapsulate_frame(dataset, JPEG_12_BIT, "1.2.840.10008.1.2.4.51")
    decoded = _decoded(save_dicom(dataset, tmp_path / "a.dcm"))
    assert np.abs(decoded.astype(int) - values).max() <= 6


@pytest.mark.parametrize("syntax", ["jpeg_lossless", "jpeg_lossless_sv1"])
@pytest.mark.parametrize("kind", ["colour", "8 bits", "16 bits", "signed"])
def test_lossless_jpeg_is_what_was_written(syntax: str, kind: str, tmp_path: Path) -> None:
    grey = marker(34, 26)
    values = {
        "colour": np.stack([grey, grey // 2, 255 - grey], axis=-1),
        "8 bits": grey,
        "16 bits": grey.astype(np.uint16) * 257,
        "signed": grey.astype(np.int16) * 100 - 9000,
    }[kind]
    path = write_dicom(tmp_path / "a.dcm", values, syntax, photometric="RGB" if kind == "colour" else "MONOCHROME1")
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID in ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
    np.testing.assert_array_equal(_decoded(path), values)


@pytest.mark.parametrize(("place", "value"), [(4, 83), (9, 7), (11, 0x99)])
def test_a_frame_header_that_ends_gdcms_process_is_no_crash(place: int, value: int, tmp_path: Path) -> None:
    # Precision, number of samples, sampling factors.
    dataset = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", marker(), "jpeg_lossless"))
    stream = bytearray(_first_frame(dataset))
    frame = stream.index(b"\xff\xc3")
    stream[frame + place] = value
    encapsulate_frame(dataset, bytes(stream), "1.2.840.10008.1.2.4.57")
    with pytest.raises(DecodingError):
        stored_values(dataset)


def test_gdcm_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", marker(), "jpeg_lossless")
    monkeypatch.setattr(gdcm_process, "_LONGEST_SECONDS", 0.001)
    with pytest.raises(DecodingError, match=r"did not end within 0\.001 s"):
        _decoded(path)


def test_gdcm_that_the_system_kills_lacked_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", marker(), "jpeg_lossless")
    killed = tmp_path / "killed.py"
    killed.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(gdcm_process, "__file__", str(killed))
    with pytest.raises(MemoryError):
        _decoded(path)


def test_gdcm_hears_no_signal_that_is_meant_for_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", marker(), "jpeg_lossless")
    session = tmp_path / "session.py"
    session.write_text("import os\nprint(os.getpgid(0), os.getpid(), end='')\n")
    monkeypatch.setattr(gdcm_process, "__file__", str(session))
    group, process = gdcm_process.decode_by_gdcm(path.read_bytes(), {}).split()
    assert group == process


def test_gdcm_whose_caller_was_killed_ends_by_itself() -> None:
    order = json.dumps({"seconds": 1, "path": []})
    with subprocess.Popen([sys.executable, "-I", gdcm_process.__file__, order], stdin=subprocess.PIPE) as process:
        assert process.wait(60) == -signal.SIGALRM


def test_a_high_bit_that_does_not_fit_is_no_crash_of_the_12_bit_decoder(tmp_path: Path) -> None:
    # GDCM would end the process.
    dataset = dicom_dataset(marker(32, 24).astype(np.uint16) * 16, bits=12, HighBit=3)
    encapsulate_frame(dataset, JPEG_12_BIT, "1.2.840.10008.1.2.4.51")
    assert _decoded(save_dicom(dataset, tmp_path / "a.dcm")).max() > 4000


def test_8_bit_jpeg_under_the_extended_syntax(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", marker(), "jpeg_baseline")
    dataset = pydicom.dcmread(path)
    baseline = _decoded(path)
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.51")
    np.testing.assert_array_equal(_decoded(save_dicom(dataset, path)), baseline)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"])
def test_native_encodings(syntax: str, tmp_path: Path) -> None:
    values = marker().astype(np.uint16) * 256
    dataset = dicom_dataset(values)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    np.testing.assert_array_equal(_decoded(save_dicom(dataset, tmp_path / "a.dcm")), values)


def test_a_12_bit_jpeg_of_a_device() -> None:
    decoded, _ = stored_values(pydicom.dcmread(get_testdata_file("JPEG-lossy.dcm")))
    # The values that libjpeg gives.
    assert (int(decoded[420, 140]), int(decoded[230, 120])) == (244, 95)
    # The same picture, as lossy JPEG 2000.
    other, _ = stored_values(pydicom.dcmread(get_testdata_file("JPEG2000.dcm")))
    assert np.corrcoef(decoded.ravel(), other.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"])
def test_copies_of_one_picture_by_other_writers_are_equal(name: str) -> None:
    original, _ = stored_values(pydicom.dcmread(get_testdata_file("MR_small.dcm")))
    np.testing.assert_array_equal(stored_values(pydicom.dcmread(get_testdata_file(name)))[0], original)


def test_the_next_decoder_steps_in_where_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", marker(), "jpeg_2000")
    asked = []
    decode = dicom_pixels._decode

    def failing_once(dataset: pydicom.Dataset, decoder: str) -> tuple[np.ndarray, str]:
        asked.append(decoder)
        if len(asked) == 1:
            raise RuntimeError("first decoder down")
        return decode(dataset, decoder)

    monkeypatch.setattr(dicom_pixels, "_decode", failing_once)
    np.testing.assert_array_equal(_decoded(path), marker())
    assert asked == ["pylibjpeg", "pillow"]


def test_a_decoder_without_memory_is_not_taken_for_a_damaged_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", marker(), "jpeg_2000")

    def too_large(dataset: pydicom.Dataset, decoder: str) -> tuple[np.ndarray, str]:
        raise MemoryError

    monkeypatch.setattr(dicom_pixels, "_decode", too_large)
    with pytest.raises(MemoryError):
        _decoded(path)


def test_all_failures_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", marker(), "jpeg_2000")

    def failing(dataset: pydicom.Dataset, decoder: str) -> tuple[np.ndarray, str]:
        raise RuntimeError(f"no {decoder} today")

    monkeypatch.setattr(dicom_pixels, "_decode", failing)
    with pytest.raises(DecodingError, match=r"pylibjpeg: .*pillow: "):
        _decoded(path)


def test_what_stands_in_the_place_of_a_transfer_syntax_is_not_repeated() -> None:
    dataset = dicom_dataset(marker())
    dataset.file_meta.add_new("TransferSyntaxUID", "LO", "Secret^Name")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DecodingError, match="its transfer syntax is unknown"):
            stored_values(dataset)


def test_a_syntax_without_decoder_is_named() -> None:
    dataset = dicom_dataset(marker())
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.100")
    with pytest.raises(DecodingError, match="MPEG2"):
        stored_values(dataset)


@pytest.mark.parametrize("syntax", ["jpeg_baseline", "jpeg_lossless", "jpeg_ls", "jpeg_2000"])
def test_a_stream_larger_than_the_tags_say_is_not_decoded(syntax: str, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", marker(), syntax))
    dataset.Rows = 30
    with pytest.raises(DecodingError, match="stream is 60 x 44, but the tags say 30 x 44"):
        stored_values(dataset)


def test_a_stream_with_more_samples_than_the_tags_say_is_not_decoded(tmp_path: Path) -> None:
    # A JPEG 2000 stream may state 16384: a decoder would take a thousand times the memory that the tags speak of.
    dataset = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", marker(), "jpeg_2000"))
    dataset.SamplesPerPixel = 3
    with pytest.raises(DecodingError, match="stream has 1 samples a pixel, but the tags say 3"):
        stored_values(dataset)


def test_a_stream_of_another_kind_is_not_decoded(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", marker(), "rle"))
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.70")
    with pytest.raises(DecodingError, match="does not begin as one of its kind"):
        stored_values(dataset)


def test_a_decoder_that_panics_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What decoders written in Rust raise over some damaged RLE data; tests/dicom/test_mutated_files.py has such data.
    class PanicException(BaseException):
        pass

    def panicking(dataset: pydicom.Dataset, decoder: str) -> tuple[np.ndarray, str]:
        raise PanicException("index out of bounds") if decoder == "pylibjpeg" else KeyboardInterrupt

    dataset = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", marker(), "rle"))
    monkeypatch.setattr(dicom_pixels, "_decode", panicking)
    monkeypatch.setattr(dicom_pixels, "_DECODERS", {"1.2.840.10008.1.2.5": ("pylibjpeg",)})
    with pytest.raises(DecodingError, match="PanicException: index out of bounds"):
        stored_values(dataset)
    monkeypatch.setattr(dicom_pixels, "_DECODERS", {"1.2.840.10008.1.2.5": ("pylibjpeg", "pydicom")})
    with pytest.raises(KeyboardInterrupt):
        stored_values(dataset)


def test_the_gpl_decoder_is_never_asked() -> None:
    # pylibjpeg passes JPEG and JPEG-LS on to its GPL plug-in, JPEG 2000 and RLE to others.
    asked = {syntax for syntax, decoders in dicom_pixels._DECODERS.items() if "pylibjpeg" in decoders}
    jpeg_2000 = {f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203)}
    assert asked == {*jpeg_2000, "1.2.840.10008.1.2.5"}
