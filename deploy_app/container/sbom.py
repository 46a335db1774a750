"""Writes the software bill of materials of the container (CycloneDX, JSON) and validates it against its schema.

Lists the Python packages of an environment, with the hashes of the wheels that they came from, Python itself, the Debian packages of the
base image, and the weights. Without time stamp or random number: the same contents give the same bytes.

python sbom.py OUTPUT SITE-PACKAGES DEBIAN-TABLE MODEL-FOLDER FLAVOUR REQUIREMENTS...
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
import uuid
from collections.abc import Iterator
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import cast

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.utils import canonicalize_name

SCHEMA = SchemaVersion.V1_6
LICENSES = LicenseFactory()
LONGEST_LICENSE_NAME = 100


def stated_licenses(texts: list[str]) -> list[License | LicenseExpression]:
    """An SPDX expression where it is one, else what the package calls its licence."""
    texts = [text for text in dict.fromkeys(" ".join(text.split()) for text in texts) if text]
    if len(texts) == 1:
        return [LICENSES.make_from_string(texts[0])]
    return [LICENSES.make_with_name(text) for text in texts]


def python_licenses(header: Message) -> list[License | LicenseExpression]:
    """The licence of a distribution: its expression, its classifiers, or its short text, in this order."""
    if expression := header.get("License-Expression"):
        return stated_licenses([expression])
    classifiers = [
        text.rsplit(" :: ", 1)[-1] for text in header.get_all("Classifier", []) if text.startswith("License :: OSI Approved :: ")
    ]
    # Some packages put the whole text here, and its first line may be no more than a copyright.
    lines = (header.get("License") or "").strip().splitlines() or [""]
    return stated_licenses(classifiers if classifiers and (len(lines) > 1 or not lines[0]) else [lines[0][:LONGEST_LICENSE_NAME]])


def wheel_hashes(requirements: list[Path]) -> dict[str, str]:
    """SHA-256 of each wheel by the package's name, from the lists that the installation was checked against."""
    found: dict[str, str] = {}
    for path in requirements:
        for name, digest in re.findall(r"^([\w.-]+)==\S+ --hash=sha256:([0-9a-f]{64})", path.read_text(), flags=re.MULTILINE):
            found[canonicalize_name(name)] = digest
    return found


def python_components(site_packages: str, hashes: dict[str, str]) -> Iterator[Component]:
    """The distributions of an environment."""
    for distribution in metadata.distributions(path=[site_packages]):
        header = cast(Message, distribution.metadata)
        name, digest = canonicalize_name(header["Name"]), hashes.get(canonicalize_name(header["Name"]))
        identifier = PackageURL("pypi", name=name, version=distribution.version)
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=distribution.version,
            description=header.get("Summary"),
            licenses=python_licenses(header),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else [],
            purl=identifier,
            bom_ref=str(identifier),
        )


def debian_licenses(package: str) -> list[License | LicenseExpression]:
    """The licences that a package's copyright file names, where that file is machine-readable."""
    copyright_file = Path("/usr/share/doc") / package / "copyright"
    try:
        text = copyright_file.read_text(errors="replace")
    except OSError:
        return []
    names = dict.fromkeys(re.findall(r"^License:[ \t]*(\S[^\n]*)", text, flags=re.MULTILINE))
    return [LICENSES.make_with_name(name.strip()) for name in names]


def debian_components(table: Path, release: dict[str, str]) -> Iterator[Component]:
    """The packages of the base image.

    Args:
        table: lines of name, version, architecture, source package and its version, as dpkg-query prints them.
        release: the distribution, as in /etc/os-release.
    """
    for line in table.read_text().splitlines():
        name, version, architecture, source, source_version = line.split("\t")
        # What scanners look up: security trackers list source packages, for each release of the distribution.
        qualifiers = {"arch": architecture, "distro": f"{release['ID']}-{release['VERSION_ID']}"}
        if (source, source_version) != (name, version):
            qualifiers["upstream"] = source if source_version == version else f"{source}@{source_version}"
        identifier = PackageURL("deb", release["ID"], name, version, qualifiers)
        yield Component(
            type=ComponentType.LIBRARY, name=name, version=version, licenses=debian_licenses(name), purl=identifier, bom_ref=str(identifier)
        )


def python_component(table: Path) -> Component | None:
    """Python itself, where it is none of the base image's packages, as in the official Python images; the running one is the image's."""
    major, minor, _ = platform.python_version_tuple()
    if any(line.startswith(f"python{major}.{minor}") for line in table.read_text().splitlines()):
        return None
    version = platform.python_version()
    identifier = PackageURL("generic", name="python", version=version)
    return Component(
        type=ComponentType.APPLICATION,
        name="python",
        version=version,
        licenses=[LICENSES.make_from_string("PSF-2.0")],
        purl=identifier,
        cpe=f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        bom_ref=str(identifier),
    )


def weights_component(model: Path, version: str) -> Component:
    """The weights that the image serves."""
    digest = hashlib.sha256((model / "models" / "model.pt").read_bytes()).hexdigest()
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=model.name,
        version=version,
        licenses=[LICENSES.make_from_string("Apache-2.0")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        bom_ref=f"weights:{model.name}@{digest[:16]}",
    )


def bill_of_materials(site_packages: str, debian_table: Path, model: Path, flavour: str, requirements: list[Path]) -> Bom:
    """All of it; the serial number is made from the contents."""
    bom = Bom()
    version = next(found.version for found in metadata.distributions(path=[site_packages], name="monai-pneumonia"))
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER, name="monai-pneumonia", version=f"{version}-{flavour}", bom_ref="container",
        description="Pneumonia lesion recognition in chest X-rays as a MONAI Application Package. Research use only, not for diagnosis.",
        licenses=[LICENSES.make_from_string("Apache-2.0")],
    )  # fmt: skip
    bom.components.update(python_components(site_packages, wheel_hashes(requirements)))
    bom.components.update(debian_components(debian_table, platform.freedesktop_os_release()))
    if (python := python_component(debian_table)) is not None:
        bom.components.add(python)
    bom.components.add(weights_component(model, version))
    bom.register_dependency(bom.metadata.component, bom.components)
    names = sorted(f"{component.bom_ref.value} {[str(found.content) for found in component.hashes]}" for component in bom.components)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join([f"{version}-{flavour}", *names]))
    return bom


def as_json(bom: Bom) -> str:
    """The document, without when it was made: that is optional, and would make each build another one."""
    content = json.loads(make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string())
    content["metadata"].pop("timestamp", None)
    return json.dumps(content, indent=2) + "\n"


def main() -> None:
    """Writes the document, or ends with what the schema finds wrong."""
    output, site_packages, debian_table, model, flavour = sys.argv[1:6]
    bom = bill_of_materials(site_packages, Path(debian_table), Path(model), flavour, [Path(name) for name in sys.argv[6:]])
    text = as_json(bom)
    fault = JsonStrictValidator(SCHEMA).validate_str(text)
    if fault is not None:
        sys.exit(f"error: the bill of materials is not valid CycloneDX: {fault}")
    Path(output).write_text(text)
    print(f"bill of materials: {len(bom.components)} components")


if __name__ == "__main__":
    main()
