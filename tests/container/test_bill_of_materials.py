"""The bill of materials of base images that hold Python as one of their packages, and of those that do not."""

from __future__ import annotations

import json
import platform
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sealed_runs import ROOT

pytest.importorskip("cyclonedx", reason="needs what scripts/setup --deploy installs into .venv-deploy")

from cyclonedx.model.bom import Bom
from cyclonedx.validation.json import JsonStrictValidator

SBOM: dict[str, Any] = runpy.run_path(str(ROOT / "deploy_app" / "container" / "sbom.py"))
RELEASE = {"ID": "debian", "VERSION_ID": "12"}
PACKAGES = [
    "bash\t5.2.15-2+b13\tamd64\tbash\t5.2.15-2",
    "dash\t0.5.12-2\tamd64\tdash\t0.5.12-2",
    "zlib1g\t1:1.2.13.dfsg-1\tamd64\tzlib\t1:1.2.13.dfsg-1",
]
DEBIANS_PYTHON = f"python{'.'.join(platform.python_version_tuple()[:2])}-minimal\t3.0-1\tamd64\tpython3\t3.0-1"


@pytest.fixture
def table(tmp_path: Path) -> Callable[[list[str]], Path]:
    """Lines as dpkg-query prints them -> the file that holds them."""

    def write(lines: list[str]) -> Path:
        path = tmp_path / "debian.tsv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_debian_packages_name_release_and_source(table: Callable[[list[str]], Path]) -> None:
    found = [str(component.purl) for component in SBOM["debian_components"](table(PACKAGES), RELEASE)]
    assert found == [
        # Built a second time from one source: the version of the source is another one.
        "pkg:deb/debian/bash@5.2.15-2%2Bb13?arch=amd64&distro=debian-12&upstream=bash%405.2.15-2",
        "pkg:deb/debian/dash@0.5.12-2?arch=amd64&distro=debian-12",
        "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64&distro=debian-12&upstream=zlib",
    ]


def test_python_is_listed_once(table: Callable[[list[str]], Path]) -> None:
    assert SBOM["python_component"](table([*PACKAGES, DEBIANS_PYTHON])) is None
    python = SBOM["python_component"](table(PACKAGES))
    assert str(python.purl) == f"pkg:generic/python@{platform.python_version()}"
    assert python.cpe == f"cpe:2.3:a:python:python:{platform.python_version()}:*:*:*:*:*:*:*"


def test_it_is_valid_with_python_itself_in_it(table: Callable[[list[str]], Path]) -> None:
    path, bom = table(PACKAGES), Bom()
    bom.components.update([*SBOM["debian_components"](path, RELEASE), SBOM["python_component"](path)])
    text = SBOM["as_json"](bom)
    assert JsonStrictValidator(SBOM["SCHEMA"]).validate_str(text) is None
    assert len(json.loads(text)["components"]) == 4
