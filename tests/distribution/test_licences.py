"""Nothing under the GPL or AGPL comes with the package. The LGPL may: Python loads such a library, which its user can replace."""

from __future__ import annotations

import re
from email.message import Message
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LONGEST_NAME = 120
LESSER = re.compile(r"LGPL|GNU (Lesser|Library) General Public Licen[sc]e|GNU LESSER", re.IGNORECASE)
EXCEPTED = re.compile(r"GPL-[\d.]+(-only|-or-later)? WITH [\w.-]+-exception[\w.-]*", re.IGNORECASE)
STRONG = re.compile(r"\bA?GPL|GNU (Affero )?General Public|Affero", re.IGNORECASE)


def stated_licence(about: metadata.PackageMetadata | Message) -> str:
    """What a package says of its licence: the SPDX expression, else classifiers and the short form of the licence field."""
    expression = about.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [line.split("::")[-1].strip() for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    field = (about.get("License") or "").strip()
    # Some packages put the whole text there, bundled libraries' licences included: its first line has the name.
    name = field.splitlines()[0][:LONGEST_NAME] if field else ""
    return "; ".join(part for part in (*classifiers, name) if part and part != "UNKNOWN")


def is_strong_copyleft(licence: str) -> bool:
    """Whether no reading of the licence avoids the GPL or AGPL; of alternatives (OR) one may be chosen."""
    alternatives = re.split(r"\s+OR\s+", licence.strip("()"))
    return all(STRONG.search(LESSER.sub("", EXCEPTED.sub("", alternative))) for alternative in alternatives)


def installed_closure(name: str = "monai-pneumonia") -> dict[str, metadata.Distribution]:
    """All packages that installing ``name`` brings, with the extras that are asked for on the way."""
    waiting: list[tuple[str, frozenset[str]]] = [(name, frozenset())]
    seen: set[tuple[str, frozenset[str]]] = set()
    found = {}
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        found[key[0]] = metadata.distribution(key[0])
        for requirement in map(Requirement, found[key[0]].requires or []):
            extras = key[1] or {""}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def about(**fields: str) -> Message:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("fields", "strong"),
    [
        ({"License_Expression": "GPL-3.0-only"}, True),
        ({"License_Expression": "MIT AND AGPL-3.0-or-later"}, True),
        ({"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"}, True),
        ({"License": "GPL v3\n\n(long text)"}, True),
        ({"License_Expression": "LGPL-2.1-or-later"}, False),
        ({"Classifier": "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"}, False),
        ({"License_Expression": "MIT OR GPL-2.0-only"}, False),
        ({"License_Expression": "BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1"}, False),
        ({"License": "Apache-2.0"}, False),
    ],
)
def test_copyleft_is_told_apart(fields: dict[str, str], strong: bool) -> None:
    assert is_strong_copyleft(stated_licence(about(**fields))) is strong


def test_closure_reaches_requirements_of_requirements() -> None:
    names = set(installed_closure())
    assert {"torch", "monai", "pylibjpeg-openjpeg", "sympy", "mpmath"} <= names


def test_every_package_states_a_licence() -> None:
    silent = [name for name, package in installed_closure().items() if not stated_licence(package.metadata)]
    assert silent == []


def test_no_package_is_under_the_gpl_or_agpl() -> None:
    licences = {name: stated_licence(package.metadata) for name, package in installed_closure().items()}
    assert {name: licence for name, licence in licences.items() if is_strong_copyleft(licence)} == {}


def test_the_jpeg_decoder_under_the_gpl_is_not_there() -> None:
    """pylibjpeg has it as an extra, and decoding would silently prefer it where it is installed."""
    assert "pylibjpeg-libjpeg" not in installed_closure()
