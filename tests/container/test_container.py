from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from packaging.utils import canonicalize_name
from sealed_runs import ROOT, SEALED, Ran, run_in_process

from monai_pneumonia import __version__
from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms
from monai_pneumonia.errors import ExitCode

InContainer = Callable[..., Ran]
LARGEST_BYTES = 1.0e9
TOLERANCE = 1e-5
PYTHON = "/opt/venv/bin/python"
MODEL = "/opt/holoscan/models/pneumonia_lesion_classification"


def inspected(image: str) -> dict[str, Any]:
    description: dict[str, Any] = json.loads(subprocess.check_output(["docker", "image", "inspect", image]))[0]
    return description


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two JSON values differ; numbers that are not whole may by the tolerance."""
    if isinstance(one, float) and isinstance(other, float):
        if not math.isclose(one, other, abs_tol=TOLERANCE, rel_tol=TOLERANCE):
            yield f"{place}: {one} and {other}"
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{place}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for position, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{place}/{position}")
    elif one != other:
        yield f"{place}: {one} and {other}"


def dicom_file_differences(one: Path, other: Path) -> Iterator[str]:
    """Where two DICOM files differ: numbers by more than the tolerance, all else, pixels among it, at all."""
    datasets = [pydicom.dcmread(file) for file in (one, other)]
    pixels = [dataset.pixel_array if "PixelData" in dataset else np.empty(0) for dataset in datasets]
    if not np.array_equal(*pixels):
        yield f"{one.name}: pixels"
    for dataset in datasets:
        dataset.pop("PixelData", None)
    yield from differences(*(dataset.file_meta.to_json_dict() for dataset in datasets), one.name)
    yield from differences(*(dataset.to_json_dict() for dataset in datasets), one.name)


def change_one_value(file: Path, changed: Path) -> None:
    """Writes a file that differs in one pixel, or in one number of a report."""
    dataset = pydicom.dcmread(file)
    if "PixelData" in dataset:
        dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]
    else:
        number = next(element for element in dataset.iterall() if element.keyword == "NumericValue")
        number.value = float(number.value) + 10 * TOLERANCE
    dataset.save_as(changed)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def sensitive_bundle(shared_folder: Callable[[str], Path]) -> Path:
    """The bundle with a lower threshold, so that there are lesion regions to segment."""
    folder = shared_folder("bundle")
    shutil.copytree(ROOT / "bundle", folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    calibration = folder / "models" / "calibration.json"
    calibration.write_text(json.dumps({**json.loads(calibration.read_text()), "lesion_threshold": 0.1}))
    return folder


def kinds_of_equal_results(inside: Path, outside: Path) -> set[str]:
    """Compares what two runs wrote; gives the kinds of DICOM files that there are."""
    assert files_below(inside) == files_below(outside)
    for report in outside.rglob("report.json"):
        found = json.loads((inside / report.relative_to(outside)).read_text())
        assert list(differences(json.loads(report.read_text()), found)) == []
    results = list(outside.rglob("*.dcm"))
    for file in results:
        assert list(dicom_file_differences(file, inside / file.relative_to(outside))) == []
    return {file.name.partition("-")[0] for file in results}


def test_the_same_numbers_and_files_as_without_a_container(
    in_container: InContainer, pictures: list[Path], shared_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    served = 0
    for folder in pictures:
        inside, outside = shared_folder(f"output-{folder.name}"), tmp_path / folder.name
        ran = in_container(source=folder, output=inside)
        expected = run_in_process(folder, outside)
        assert (ran.code, expected.code) == (ExitCode.OK, ExitCode.OK), ran.errors + expected.errors
        assert {"sr", "sc"} <= kinds_of_equal_results(inside, outside)
        served += json.loads((inside / "report.json").read_text())["counts"]["served"]
    assert served == sum(len(list(folder.iterdir())) for folder in pictures)


def test_the_same_lesion_regions_with_a_bundle_mounted_in_the_models_place(
    in_container: InContainer, pictures: list[Path], shared_folder: Callable[[str], Path], sensitive_bundle: Path, tmp_path: Path
) -> None:
    inside, outside = shared_folder("output"), tmp_path / "output"
    ran = in_container(source=pictures[0], output=inside, options=("-v", f"{sensitive_bundle}:{MODEL}:ro"))
    expected = run_in_process(pictures[0], outside, sensitive_bundle)
    assert (ran.code, expected.code) == (ExitCode.OK, ExitCode.OK), ran.errors + expected.errors
    kinds = kinds_of_equal_results(inside, outside)
    assert kinds == {"sr", "seg", "sc"}
    for kind in kinds:
        file = min(outside.rglob(f"{kind}-*.dcm"))
        change_one_value(file, tmp_path / kind)
        assert len(list(dicom_file_differences(file, tmp_path / kind))) == 1, f"a change in {kind} is not seen"


def test_results_belong_to_the_user_that_the_container_runs_as(
    in_container: InContainer, pictures: list[Path], shared_folder: Callable[[str], Path]
) -> None:
    output = shared_folder("output")
    ran = in_container(source=pictures[-1], output=output, options=("--user", "4321:4321"))
    assert ran.code == ExitCode.OK, ran.errors
    assert {path.stat().st_uid for path in output.rglob("*")} == {4321}


def test_nothing_to_analyse_and_an_output_that_is_closed(in_container: InContainer, shared_folder: Callable[[str], Path]) -> None:
    empty, output, closed = shared_folder("empty"), shared_folder("output"), shared_folder("closed")
    assert in_container(source=empty, output=output).code == ExitCode.NOTHING_TO_ANALYSE
    closed.chmod(0o755)
    if os.getuid() == 0:
        os.chown(closed, 0, 0)
        ran = in_container(source=empty, output=closed)
        assert ran.code == ExitCode.OUTPUT_NOT_WRITABLE, ran.errors
        assert "Traceback" not in ran.errors


def test_docker_stop_ends_a_run_at_once_and_leaves_whole_studies(image: str, shared_folder: Callable[[str], Path], tmp_path: Path) -> None:
    # So many that it cannot come to its end meanwhile; each is a study of its own.
    phantoms = write_phantoms(tmp_path / "phantoms", PhantomSettings(count=300, size=64, image_format="dicom")).folder / "images"
    source, output = shared_folder("input"), shared_folder("output")
    shutil.copytree(phantoms, source, dirs_exist_ok=True, copy_function=shutil.copyfile)
    mounts = ["-v", f"{source}:/var/holoscan/input:ro", "-v", f"{output}:/var/holoscan/output"]
    name = subprocess.check_output(["docker", "run", "-d", *SEALED, *mounts, image], text=True).strip()
    try:
        for _ in range(600):
            if "study_published" in subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True).stderr:
                break
            time.sleep(0.05)
        started = time.monotonic()
        subprocess.run(["docker", "stop", "--time", "60", name], check=True, capture_output=True)
        took = time.monotonic() - started
        code = int(subprocess.check_output(["docker", "inspect", "--format", "{{.State.ExitCode}}", name]))
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)
    assert code == 128 + 15
    assert took < 30
    # Neither an account of all files nor anything hidden: whole studies, and not all of them.
    studies = list(output.iterdir())
    assert 0 < len(studies) < 300
    for study in studies:
        images = json.loads((study / "report.json").read_text())["images"]
        results = {result["file"] for entry in images for result in entry["results"].values()}
        assert len(images) == 1
        assert {path.name for path in study.iterdir()} == {"report.json", *results}


def test_the_image_is_small_and_says_what_it_is(image: str) -> None:
    description = inspected(image)
    assert description["Size"] <= LARGEST_BYTES
    labels = description["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "monai-pneumonia"
    assert labels["org.opencontainers.image.version"] == __version__
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?|unknown", labels["org.opencontainers.image.revision"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["org.monai.deploy.app-sdk"])
    assert "Research use only" in labels["org.opencontainers.image.description"]


def test_nobody_is_root(image: str, in_container: InContainer) -> None:
    assert inspected(image)["Config"]["User"] == "1000:1000"
    assert in_container("-c", "id -u; id -g", entrypoint="sh").output.split() == ["1000", "1000"]


def test_no_build_tools_and_nothing_of_the_machine_that_built_it(in_container: InContainer) -> None:
    tools = "pip pip3 gcc cc g++ c++ cpp make cmake ld as strip git curl wget"
    assert in_container("-c", f"for tool in {tools}; do command -v $tool; done; true", entrypoint="sh").output == ""
    modules = ["pip", "setuptools", "wheel_axle", "itk", "cupy", "ignite", "matplotlib", "cyclonedx"]
    code = f"from importlib.util import find_spec; print([name for name in {modules} if find_spec(name)])"
    assert in_container("-c", code, entrypoint=PYTHON).output.strip() == "[]"
    left = "/build /opt/tools /root/.cache /etc/pip.conf /root/.config /usr/local/share/ca-certificates/* /var/lib/apt/lists/* /tmp/*"
    assert in_container("-c", f"ls -d {left} 2>/dev/null; true", entrypoint="sh").output == ""


def test_the_image_holds_no_address_of_an_index_and_no_certificate(image: str, in_container: InContainer) -> None:
    assert not [line for line in inspected(image)["Config"]["Env"] if re.search("pip|cert|proxy|index", line, re.IGNORECASE)]
    assert in_container("env").output.count("HOLOSCAN_") >= 8
    history = subprocess.check_output(["docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image], text=True)
    assert "://" not in history


def test_the_manifests_tell_how_to_run_it(in_container: InContainer, image: str) -> None:
    application, package = (json.loads(in_container("show", name).output) for name in ("app", "pkg"))
    assert in_container("show").output.count("======") >= 2
    variables = dict(line.split("=", 1) for line in inspected(image)["Config"]["Env"])
    assert application["version"] == package["version"] == __version__
    assert application["input"]["formats"] == ["DICOM"]
    assert application["workingDirectory"] == inspected(image)["Config"]["WorkingDir"] == variables["HOLOSCAN_WORKDIR"]
    assert package["models"] == {"pneumonia_lesion_classification": MODEL}
    assert package["platformConfig"] == "cpu"
    command = json.loads(application["command"])
    ran = in_container("-c", 'exec "$@"', "sh", *command, "--version", entrypoint="sh")
    assert ran.code == 0
    assert ran.output == in_container("--version").output
    assert __version__ in ran.output
    layout = [path for name, path in variables.items() if name.startswith("HOLOSCAN_")]
    listed = in_container("-c", f"ls -d {' '.join(layout)} {MODEL}/models/model.pt /var/holoscan/tools", entrypoint="sh")
    assert listed.code == 0, listed.errors


def test_an_unknown_part_cannot_be_shown(in_container: InContainer) -> None:
    ran = in_container("show", "weights")
    assert ran.code == ExitCode.USAGE
    assert ran.errors == "error: show takes app, pkg or sbom, not 'weights'\n"


def test_extract_copies_out_what_the_package_holds(in_container: InContainer, shared_folder: Callable[[str], Path]) -> None:
    folder = shared_folder("export")
    assert in_container("extract", export=folder).code == 0
    assert json.loads((folder / "config" / "app.json").read_text()) == json.loads(in_container("show", "app").output)
    assert (folder / "models" / Path(MODEL).name / "models" / "model.pt").read_bytes() == (ROOT / "bundle/models/model.pt").read_bytes()
    assert (folder / "app/deploy_app/application.py").read_bytes() == (ROOT / "deploy_app/application.py").read_bytes()
    assert (folder / "docs/LICENSE").is_file()
    assert (folder / "config/app.yaml").is_file()


def test_extract_of_one_part_and_into_nothing(image: str, in_container: InContainer, shared_folder: Callable[[str], Path]) -> None:
    folder = shared_folder("configuration")
    mount = ("-v", f"{folder}:/var/run/holoscan/export/config")
    assert in_container("extract", options=mount).code == 0
    assert files_below(folder) == ["app.json", "app.yaml", "pkg.json", "sbom.cdx.json"]
    ran = in_container("extract")
    assert ran.code == ExitCode.USAGE
    assert "nothing is mounted at /var/run/holoscan/export" in ran.errors


def test_the_bill_of_materials_is_valid_and_complete(in_container: InContainer) -> None:
    from cyclonedx.schema import SchemaVersion  # installed in .venv-deploy alone
    from cyclonedx.validation.json import JsonStrictValidator

    text = in_container("show", "sbom").output
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    pairs = {(component["name"], component["version"]) for component in components}
    code = "from importlib import metadata; print(*[f\"{d.metadata['Name']} {d.version}\" for d in metadata.distributions()], sep='\\n')"
    python = [line.split(" ") for line in in_container("-I", "-c", code, entrypoint=PYTHON).output.splitlines()]
    assert len(python) > 40
    assert {(canonicalize_name(name), version) for name, version in python} <= pairs
    listing = in_container("-W", "-f", "${Package} ${Version}\n", entrypoint="dpkg-query").output
    debian = {tuple(line.split(" ")) for line in listing.splitlines()}
    assert len(debian) > 50
    assert debian <= pairs
    assert {"python", "python3.11-minimal"} & {name for name, _ in pairs}
    release = in_container("-c", '. /etc/os-release; echo "$ID-$VERSION_ID"', entrypoint="sh").output.strip()
    identifiers = [component["purl"] for component in components if component.get("purl", "").startswith("pkg:deb/")]
    assert len(identifiers) == len(debian)
    assert all(f"distro={release}" in identifier for identifier in identifiers)
    weights = next(component for component in components if component["type"] == "machine-learning-model")
    assert weights["hashes"][0]["content"] == in_container(f"{MODEL}/models/model.pt", entrypoint="sha256sum").output.split()[0]
    for component in components:
        if component.get("purl", "").startswith("pkg:pypi/"):
            assert component.get("licenses"), f"{component['name']} states no licence"
            assert component.get("hashes") or component["name"] == "monai-pneumonia", f"{component['name']} has no hash"


def test_the_bill_of_materials_lies_beside_the_build(in_container: InContainer) -> None:
    beside = ROOT / "build" / "map" / "sbom-cpu.cdx.json"
    if not beside.is_file():
        pytest.skip("the image was not built in this checkout")
    assert beside.read_text() == in_container("show", "sbom").output


# Runs the application and writes which modules it had to compile; it ends by os._exit.
COUNT_COMPILED = """
import json, os, runpy, sys
from importlib.machinery import SourceFileLoader

compiled, source_to_code, leave = [], SourceFileLoader.source_to_code, os._exit

def counted(self, data, path, **options):
    compiled.append(path)
    return source_to_code(self, data, path, **options)

def tell(code):
    with open("/var/holoscan/output/compiled.json", "w") as file:
        json.dump({"compiled": compiled, "modules": len(sys.modules)}, file)
    leave(code)

SourceFileLoader.source_to_code, os._exit = counted, tell
sys.argv = ["deploy_app"]
runpy.run_path("/opt/holoscan/app/deploy_app", run_name="__main__")
"""


def test_byte_code_is_there_for_what_a_run_imports(
    in_container: InContainer, pictures: list[Path], shared_folder: Callable[[str], Path]
) -> None:
    # Compiling would take seconds at each start, for a read-only container keeps nothing.
    output = shared_folder("output")
    ran = in_container("-c", COUNT_COMPILED, source=pictures[0], output=output, entrypoint=PYTHON)
    assert ran.code == ExitCode.OK, ran.errors
    told = json.loads((output / "compiled.json").read_text())
    assert told["modules"] > 1000
    assert len(told["compiled"]) < 10, told["compiled"]
