"""The DICOM standard for dicom-validator without the network: PyPI's dicom-standard, written as the docbook that the former would download.

dicom-validator reads that docbook as it reads NEMA's own, with its parsers of conditions and of enumerated values. dicom-standard names no
edition: its tables were made on 2020-04-07, and their attributes are those of pydicom 2.0. Three things get lost in its tables and are put
back: which macro a content item includes on which condition, that content items hold content items, and where functional groups stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, fromstring

EDITION = "2020"
# The SOP Classes of what is read (CR, DX for presentation, SC) and written (SC, Segmentation, Comprehensive 3D SR).
SOP_CLASSES = {f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("1", "1.1", "7", "66.4", "88.34")}
# Shared and per-frame functional groups, as the end of a path of tags.
FUNCTIONAL_GROUPS = ("52009229", "52009230")
CONTENT_MODULE, CONTENT, RELATIONSHIP = "sr-document-content", "document-content", "document-relationship"
# The macro that a content item includes if and only if it has this Value Type (PS3.3 Table C.17-5).
VALUE_MACROS = {
    "NUM": "numeric-measurement",
    "CODE": "code",
    "COMPOSITE": "composite-object-reference",
    "IMAGE": "image-reference",
    "WAVEFORM": "waveform-reference",
    "SCOORD": "spatial-coordinates",
    "SCOORD3D": "3d-spatial-coordinates",
    "TCOORD": "temporal-coordinates",
    "CONTAINER": "container",
}

Row = dict[str, Any]


def write_edition(folder: Path) -> None:
    """Writes what dicom-validator's EditionReader(folder) takes for a downloaded edition; the folder holds none yet."""
    classes = [row for row in _read("sops") if row["id"] in SOP_CLASSES]
    attributes = {row["tag"].replace("X", "x"): row for row in _read("attributes")}
    names = {tag: row["name"] for tag, row in attributes.items()}
    docbook = folder / EDITION / "docbook"
    docbook.mkdir(parents=True)
    (folder / "editions.json").write_text(json.dumps([EDITION]))
    for number, book in ((3, _part3(classes, names)), (4, _part4(classes)), (6, _part6(classes, attributes))):
        book.set("xmlns", "http://docbook.org/ns/docbook")
        ElementTree(book).write(docbook / f"part{number:02}.xml", encoding="utf-8")


def _read(table: str) -> Any:
    """One table of dicom-standard."""
    file = next(file for file in metadata.files("dicom-standard") or () if file.name == f"{table}.json")
    return json.loads(Path(str(file.locate())).read_bytes())


def _part3(classes: list[Row], names: dict[str, str]) -> Element:
    """Objects, the attributes of their modules and macros, and the sections that list values of attributes."""
    titles = {row["ciod"] for row in classes}
    objects = {row["id"]: row["name"] for row in _read("ciods") if row["name"] in titles}
    modules, macros = ([row for row in _read(f"ciod_to_{kind}") if row["ciodId"] in objects] for kind in ("modules", "fg_macros"))
    book = Element("book")
    book.append(_objects(objects, modules, macros))
    tables = _tables("module", {row["moduleId"] for row in modules})
    tables |= _tables("macro", {row["macroId"] for row in macros} | {CONTENT, RELATIONSHIP, *VALUE_MACROS.values()})
    rows = {label: list(_attributes(table, names)) for label, table in tables.items()} | _content(tables, names)
    for label, table in rows.items():
        _add_table(SubElement(book, "chapter", label=label), table, label)
    sections = SubElement(book, "chapter", label="sections")
    for address, html in _read("references").items():
        if "Enumerated Values" in html:
            section = _docbook(fromstring(html), "section")
            section.set("label", address.rpartition("#sect_")[2])
            sections.append(section)
    return book


def _part4(classes: list[Row]) -> Element:
    """Which object each SOP Class is."""
    book = Element("book")
    labels = {row["name"]: row["id"] for row in _read("ciods")}
    rows = (_row(row["name"], row["id"], _cell("olink", targetptr=f"sect_{labels[row['ciod']]}")) for row in classes)
    _add_table(_section(SubElement(book, "chapter", label="B"), "B.5", "Standard SOP Classes"), rows)
    return book


def _part6(classes: list[Row], attributes: dict[str, Row]) -> Element:
    """The dictionary, and the SOP Classes among the identifiers."""
    book = Element("book")
    keys = ("name", "keyword", "valueRepresentation", "valueMultiplicity", "retired")
    _add_table(SubElement(book, "chapter", label="6"), (_row(tag, *(row[key] for key in keys)) for tag, row in attributes.items()))
    _add_table(SubElement(book, "chapter", label="A"), (_row(row["id"], row["name"], "SOP Class", "PS3.4") for row in classes))
    return book


def _objects(objects: dict[str, str], modules: list[Row], macros: list[Row]) -> Element:
    """Chapter A: for each object the usage of modules and of functional groups."""
    names = {row["id"]: row["name"] for row in _read("modules") + _read("macros")}
    chapter = Element("chapter", label="A")
    # The first section is taken for the one about how to read the others.
    SubElement(chapter, "section", label="A.1")
    for label, title in objects.items():
        section = _section(chapter, label, f"{title} IOD")
        # The first column of a module table, the information entity, is not read.
        uses = [_row("", *_use(row, row["moduleId"], names)) for row in modules if row["ciodId"] == label]
        _add_table(_section(section, "", f"{title} Module Table"), uses)
        uses = [_row(*_use(row, row["macroId"], names)) for row in macros if row["ciodId"] == label]
        _add_table(_section(section, "", f"{title} Functional Group Macros"), uses)
    return chapter


def _use(row: Row, label: str, names: dict[str, str]) -> tuple[str | Element, ...]:
    """Name, reference, and usage with its condition."""
    condition = f" - {row['conditionalStatement']}" if row["conditionalStatement"] else ""
    return names[label], _cell("xref", linkend=f"sect_{label}"), f"{row['usage']}{condition}"


def _tables(kind: str, labels: set[str]) -> dict[str, list[Row]]:
    """The attributes of these modules or macros."""
    rows = (row for row in _read(f"{kind}_to_attributes") if row[f"{kind}Id"] in labels)
    return {label: list(table) for label, table in groupby(rows, key=lambda row: row[f"{kind}Id"])}


def _attributes(rows: Iterable[Row], names: dict[str, str]) -> Iterator[Element]:
    """Rows of attributes; a path of tags tells how deep in sequences each stands."""
    for row in rows:
        depth = row["path"].count(":") - 1
        yield _row(">" * depth + names[row["tag"]], row["tag"], row["type"], _docbook(fromstring(row["description"]), "td"))
        if row["path"].endswith(FUNCTIONAL_GROUPS):
            yield _row(">" * (depth + 1) + "Include one or more Functional Group Macros")


def _content(tables: dict[str, list[Row]], names: dict[str, str]) -> dict[str, list[Element]]:
    """The content of structured reports, whose macros stand in its tables expanded, with includes instead."""
    in_values = {row["path"].split(":")[1] for macro in VALUE_MACROS.values() for row in tables[macro]}
    in_content = {row["path"].split(":")[1] for row in tables[CONTENT]}
    values = [row for row in tables[CONTENT] if row["path"].split(":")[1] not in in_values]
    relations = [row for row in tables[RELATIONSHIP] if not in_content.intersection(row["path"].split(":")[2:])]
    conditions = {macro: f"if and only if Value Type (0040,A040) is {value}" for value, macro in VALUE_MACROS.items()}
    return {
        CONTENT_MODULE: [_include(CONTENT), _include(RELATIONSHIP)],
        CONTENT: [*_attributes(values, names), *(_include(macro, condition=condition) for macro, condition in conditions.items())],
        RELATIONSHIP: [*_attributes(relations, names), _include(RELATIONSHIP, depth=1), _include(CONTENT, depth=1)],
    }


def _include(macro: str, depth: int = 0, condition: str = "") -> Element:
    row = _row(">" * depth + "Include")
    SubElement(SubElement(row[0][0], "emphasis"), "xref", linkend=f"table_{macro}").tail = condition
    return row


def _section(parent: Element, label: str, title: str) -> Element:
    section = SubElement(parent, "section", label=label)
    SubElement(section, "title").text = title
    return section


def _add_table(parent: Element, rows: Iterable[Element], label: str = "") -> None:
    SubElement(SubElement(parent, "table", label=label), "tbody").extend(rows)


def _row(*cells: str | Element) -> Element:
    row = Element("tr")
    for cell in cells:
        if isinstance(cell, str):
            SubElement(SubElement(row, "td"), "para").text = cell
        else:
            row.append(cell)
    return row


def _cell(tag: str, **attributes: str) -> Element:
    """A cell with a reference."""
    cell = Element("td")
    SubElement(SubElement(cell, "para"), tag, attributes)
    return cell


def _docbook(html: Element, tag: str) -> Element:
    """Paragraphs and lists of values as docbook; what else holds them becomes a note."""
    element = Element(tag)
    for child in html:
        title, values = child.find("p/strong"), child.find("dl")
        if title is not None and values is not None:
            variables = SubElement(element, "variablelist")
            SubElement(variables, "title").text = _text(title.text)
            for term in values.iter("dt"):
                SubElement(SubElement(variables, "varlistentry"), "term").text = _text("".join(term.itertext()))
        elif child.tag == "p":
            element.append(_paragraph(child))
        else:
            element.append(_docbook(child, "note"))
    return element


def _paragraph(html: Element) -> Element:
    paragraph = Element("para")
    paragraph.text = _text(html.text)
    for child in html:
        text = _text("".join(child.itertext()))
        if "href" in child.attrib:
            inline = SubElement(paragraph, "xref", linkend=text.replace("Section ", "sect_"))
        else:
            inline = SubElement(paragraph, "emphasis")
            inline.text = text
        inline.tail = _text(child.tail)
    return paragraph


def _text(html: str | None) -> str:
    """On one line, as conditions are looked for."""
    return " ".join((html or "").split())
