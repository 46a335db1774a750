"""What the container is made from, without docker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sealed_runs import ROOT

CONTAINER = ROOT / "deploy_app" / "container"
LISTS = sorted(CONTAINER.glob("requirements*.in"))
PIN = re.compile(r"([\w.-]+)==([\w.]+) --hash=sha256:[0-9a-f]{64}")


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(source: Path) -> set[str]:
    lines = [line.partition("#")[0].strip() for line in source.read_text().splitlines()]
    return {normalized(re.split(r"[=<>]", line)[0]) for line in lines if line}


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    found = [PIN.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {normalized(match[1]): match[2] for match in found if match}


@pytest.mark.parametrize("source", LISTS, ids=lambda path: path.stem)
def test_every_listed_package_has_one_version_and_hash(source: Path) -> None:
    assert names(source) == pins(source.with_suffix(".txt")).keys()


def test_the_container_has_the_versions_that_the_application_is_tested_with() -> None:
    tested = {
        normalized(line.split("==")[0]): line.partition("==")[2].partition(";")[0].strip()
        for line in (ROOT / "requirements" / "deploy.txt").read_text().splitlines()
        if "==" in line
    }
    for name in ("requirements.txt", "requirements-cpu.txt"):
        assert {package: tested.get(package) for package in pins(CONTAINER / name)} == pins(CONTAINER / name)
    assert pins(CONTAINER / "requirements-cuda.txt")["torch"] == tested["torch"]


def test_no_decoder_under_the_gpl_and_nothing_that_the_application_does_without() -> None:
    listed = set().union(*(names(source) for source in LISTS if source.stem != "requirements-build"))
    assert not listed & {"pylibjpeg-libjpeg", "itk", "cupy-cuda13x", "pytorch-ignite", "matplotlib", "pip", "holoscan-cli"}


def test_the_label_names_the_version_of_the_sdk() -> None:
    (version,) = re.findall(r"^ARG SDK_VERSION=(\S+)$", (ROOT / "deploy_app" / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert version == pins(CONTAINER / "requirements.txt")["monai-deploy-app-sdk"]


def test_all_that_the_dockerfile_copies_is_in_the_context() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "deploy_app" / "Dockerfile").read_text(), flags=re.MULTILINE)
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in " ".join(copied).replace("${BUNDLE}", "bundle").split():
        assert any(source.rstrip("*") == entry or source.startswith(f"{entry}/") for entry in allowed), source
        assert source == "build/map/wheels*" or list(ROOT.glob(source)), source


def called(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(ROOT / "scripts" / "map"), *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(sys.platform == "win32", reason="a script for bash")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "--flavour", "rocm"], "--flavour is cpu or cuda, not rocm"),
        (["build", "--fast"], "unknown option --fast"),
        (["build", "--tag"], "--tag needs a value"),
        (["ship"], "unknown command ship"),
        (["run", "--input", "."], "run needs --input and --output"),
        (["run", "--input", "/nowhere", "--output", "/tmp"], "there is no folder /nowhere"),
        (["extract"], "extract needs --output"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(arguments: list[str], message: str) -> None:
    done = called(*arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: {message}"


def test_help_names_every_command() -> None:
    done = called("help")
    assert done.returncode == 0
    assert all(f"scripts/map {command}" in done.stdout for command in ("build", "show", "run", "extract", "help"))
