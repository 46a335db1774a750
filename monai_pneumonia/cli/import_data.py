"""The ``import`` commands: one a source, made from the registry of importers."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.table import Table

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.datalist import SECTIONS, save_datalist
from monai_pneumonia.data.importers import DROP, IMPORTERS, ImportResult, LabelRules, PictureFolder
from monai_pneumonia.data.labels import DEFAULT_CLASSES, DEFAULT_GROUPS
from monai_pneumonia.data.splits import DEFAULT_FRACTIONS, SplitRules
from monai_pneumonia.errors import UsageError

_DEFAULT_GROUPS_TEXT = "; ".join(f"{name}={','.join(members)}" for name, members in DEFAULT_GROUPS.items())
_CLASSES = Annotated[str, typer.Option("--classes", help="Class names in channel order, separated by commas.")]
_GROUP = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        help=f"NAME=CLASS,CLASS: a label that may mean several classes; may be repeated ({_DEFAULT_GROUPS_TEXT} with the default classes).",
    ),
]
_MAP = Annotated[
    list[str] | None,
    typer.Option("--map", help=f"LABEL=CLASS, LABEL=null (keep without a label) or LABEL={DROP} (leave out); may be repeated."),
]
_SEED = Annotated[int, typer.Option("--seed", min=0, help="Seed of the split, where the source has none.")]
_FRACTIONS = Annotated[
    tuple[float, float, float],
    typer.Option("--fractions", help="Shares of training, validation and testing, where the source has no split."),
]
_PICTURES = Annotated[
    Path | None, typer.Option("--pictures", help="Folder to write the pictures to (named after the datalist, beside it, by default).")
]
_OUTPUT = Annotated[Path, typer.Option("--output", "-o", help="The datalist to write (JSON).")]

_RULE_OPTIONS: Mapping[type, Mapping[str, tuple[Any, Any]]] = {
    LabelRules: {"classes": (_CLASSES, ",".join(DEFAULT_CLASSES)), "group": (_GROUP, None), "map": (_MAP, None)},
    SplitRules: {"seed": (_SEED, 0), "fractions": (_FRACTIONS, DEFAULT_FRACTIONS)},
    PictureFolder: {"pictures": (_PICTURES, None)},
}


def register(app: typer.Typer) -> None:
    """Adds the ``import`` group with one sub-command an importer."""
    group = typer.Typer(no_args_is_help=True, help="Turn a public or an own data set into a datalist.")
    for name, importer in IMPORTERS.items():
        text = (inspect.getdoc(importer) or "").partition("Raises:")[0].strip()
        group.command(name, help=text, short_help=text.splitlines()[0], no_args_is_help=True)(_command(importer))
    app.add_typer(group, name="import")


def _command(importer: Callable[..., ImportResult]) -> Callable[..., None]:
    """A function with the signature that Typer reads: the importer's own parameters, those of its rules, ``--output``."""
    own: list[inspect.Parameter] = []
    rules: dict[str, type] = {}
    for parameter in inspect.signature(importer, eval_str=True).parameters.values():
        if parameter.annotation in _RULE_OPTIONS:
            rules[parameter.name] = parameter.annotation
        else:
            own.append(_option(parameter))
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for rule in rules.values()
        for name, (annotation, default) in _RULE_OPTIONS[rule].items()
    ]
    output = inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY, annotation=_OUTPUT)

    def run(**values: Any) -> None:
        file: Path = values["output"]
        arguments = {parameter.name: values[parameter.name] for parameter in own}
        result = importer(**arguments, **{name: _BUILDERS[rule](values) for name, rule in rules.items()})
        save_datalist(result.datalist, file)
        _print_account(result, file)

    run.__signature__ = inspect.Signature([*own, *common, output])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


def _option(parameter: inspect.Parameter) -> inspect.Parameter:
    kind, text = get_args(parameter.annotation)
    required = parameter.default is inspect.Parameter.empty
    info = typer.Argument(help=text, show_default=False) if required else typer.Option(help=text)
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, info])


def _label_rules(values: Mapping[str, Any]) -> LabelRules:
    groups = {name: tuple(_names(members)) for name, members in _pairs("group", values["group"])}
    mapping = {label: None if target in ("", "null") else target for label, target in _pairs("map", values["map"])}
    return LabelRules(tuple(_names(values["classes"])), groups or None, mapping)


def _split_rules(values: Mapping[str, Any]) -> SplitRules:
    return SplitRules(fractions=tuple(values["fractions"]), seed=values["seed"])


def _picture_folder(values: Mapping[str, Any]) -> PictureFolder:
    output: Path = values["output"]
    return PictureFolder(values["pictures"] or output.with_name(f"{output.stem}-pictures"))


_BUILDERS: Mapping[type, Callable[[Mapping[str, Any]], Any]] = {
    LabelRules: _label_rules,
    SplitRules: _split_rules,
    PictureFolder: _picture_folder,
}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pairs(option: str, texts: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for text in texts or ():
        # The last '=' parts them: a source's own label may hold one, a class name does not.
        name, equals, value = text.rpartition("=")
        if not equals or not name.strip():
            raise UsageError(f"--{option} '{text}': write NAME=VALUE")
        pairs.append((name.strip(), value.strip()))
    return pairs


def _print_account(result: ImportResult, output: Path) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    counts = Counter((item.source or "-", item.label or "no label", section) for section, item in result.datalist.items())
    table = Table(title=f"{result.datalist.name}: pictures by source, label and split")
    for heading in ("source", "label"):
        table.add_column(heading, overflow="fold")
    for section in SECTIONS:
        table.add_column(section, justify="right")
    for source, label in sorted({key[:2] for key in counts}):
        table.add_row(source, label, *(str(counts[source, label, section]) for section in SECTIONS))
    table.add_row("all", "", *(str(len(result.datalist.section(section))) for section in SECTIONS), style="bold")
    console.print(table)
    outlines = Counter(item.mask_kind for _, item in result.datalist.items())
    console.print("outlines: " + ", ".join(f"{kind} {count}" for kind, count in sorted(outlines.items())))
    for note in result.notes:
        console.print(f"note: {note}")
    for reason, count in result.left_out.items():
        console.print(f"left out: {count} ({reason}), such as {', '.join(result.examples[reason])}")
    left_out = sum(result.left_out.values())
    console.print(f"{result.records} pictures listed, {result.records - left_out} written, {left_out} left out -> {output}")
    console.print(f"{RESEARCH_USE_ONLY} Check it: monai-pneumonia validate {output}")
