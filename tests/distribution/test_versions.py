"""One version everywhere, and requirements that what is installed and what is pinned both satisfy."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import monai_pneumonia

ROOT = Path(__file__).parents[2]
PIN_FILES = ("core.txt", "annotation.txt")


def requirements_of(name: str) -> list[Requirement]:
    found = [Requirement(line) for line in metadata.requires(name) or []]
    return [requirement for requirement in found if requirement.marker is None or requirement.marker.evaluate({"extra": ""})]


def pins(file_name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / file_name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in found}


def closure() -> Iterator[tuple[str, Requirement]]:
    """Each requirement reached from the package, with the package that states it."""
    waiting, seen = ["monai-pneumonia"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for requirement in requirements_of(name):
            yield name, requirement
            waiting.append(canonicalize_name(requirement.name))


def test_installed_metadata_names_the_version_of_the_code() -> None:
    assert metadata.version("monai-pneumonia") == monai_pneumonia.__version__


def test_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == monai_pneumonia.__version__
    assert citation["license"] == "Apache-2.0"
    assert isinstance(citation["date-released"], datetime.date)


def test_changelog_ends_with_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", text, flags=re.MULTILINE)
    assert released, "no heading of the form '## [1.2.3] - 2026-01-31'"
    assert released[0][0] == monai_pneumonia.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert released[0][1] == citation["date-released"].isoformat()


@pytest.mark.parametrize(
    "place", ["deploy_app/Dockerfile", "deploy_app/app.yaml", "deploy_app/kubernetes", "docs/container.md", "docs/cluster.md"]
)
def test_the_container_and_its_documents_name_the_version(place: str) -> None:
    path = ROOT / place
    texts = [file.read_text(encoding="utf-8") for file in (path.rglob("*.yaml") if path.is_dir() else [path])]
    # Tags of images, names of archives, labels and arguments.
    stated = r"(?:monai-pneumonia(?:-stock)?[:-]|\b(?:version|VERSION|newTag)[:=] ?)(\d+\.\d+\.\d+)"
    assert {version for text in texts for version in re.findall(stated, text)} == {monai_pneumonia.__version__}


def test_installed_packages_satisfy_all_requirements_of_the_closure() -> None:
    unmet = [
        f"{name} wants {requirement}, installed: {metadata.version(requirement.name)}"
        for name, requirement in closure()
        if not requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    ]
    assert unmet == []


@pytest.mark.parametrize("file_name", PIN_FILES)
def test_pins_lie_within_the_stated_ranges(file_name: str) -> None:
    pinned = pins(file_name)
    outside = [
        str(requirement)
        for requirement in requirements_of("monai-pneumonia")
        if not requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])
    ]
    assert outside == []


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the pins were tried out on Python 3.11; others follow the ranges")
def test_installed_versions_are_the_pinned_ones() -> None:
    """One of the two files describes this environment: what is tested is what was written down."""
    differences = {
        file_name: {name: version for name, version in pins(file_name).items() if installed_version(name) not in (None, version)}
        for file_name in PIN_FILES
    }
    assert {} in differences.values(), differences


def installed_version(name: str) -> str | None:
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def test_annotation_pins_are_those_of_the_annotation_server() -> None:
    pinned = pins("annotation.txt")
    assert (pinned["numpy"], pinned["pydicom"], pinned["jsonschema"]) == ("1.26.4", "2.4.5", "3.2.0")
    assert int(pinned["setuptools"].split(".")[0]) < 81
    assert int(pinned["pandas"].split(".")[0]) < 3
