"""The ``import`` commands: one a source, made from the registry of importers."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from rich.console import Console
from rich.table import Table

from monai_pneumonia.data.datalist import save_datalist
from monai_pneumonia.data.importers import DROP, IMPORTERS, ImportResult, LabelRules
from monai_pneumonia.data.labels import DEFAULT_CLASSES, DEFAULT_GROUPS
from monai_pneumonia.data.splits import DEFAULT_FRACTIONS, SplitRules
from monai_pneumonia.errors import UsageError

_DEFAULT_GROUPS_TEXT = "; ".join(f"{name}={','.join(members)}" for name, members in DEFAULT_GROUPS.items())
_OUTPUT = Annotated[Path, typer.Option("--output", "-o", help="The datalist to write (JSON).")]
_RULE_OPTIONS: Mapping[type, Mapping[str, tuple[Any, Any]]] = {
    LabelRules: {
        "classes": (
            Annotated[str, typer.Option(help="Class names in channel order, separated by commas.")],
            ",".join(DEFAULT_CLASSES),
        ),
        "group": (
            Annotated[
                list[str] | None,
                typer.Option(
                    help=f"NAME=CLASS,CLASS: a label that may mean several classes; may be repeated ({_DEFAULT_GROUPS_TEXT} by default)."
                ),
            ],
            None,
        ),
        "map": (
            Annotated[
                list[str] | None,
                typer.Option(help=f"LABEL=CLASS, LABEL=null (keep without a label) or LABEL={DROP} (leave out); may be repeated."),
            ],
            None,
        ),
    },
    SplitRules: {
        "seed": (Annotated[int, typer.Option(help="Seed of the split, where the source has none.")], 0),
        "fractions": (
            Annotated[
                tuple[float, float, float], typer.Option(help="Shares of training, validation, testing, where the source has no split.")
            ],
            DEFAULT_FRACTIONS,
        ),
    },
}


def register(app: typer.Typer) -> None:
    """Adds the ``import`` group with one sub-command an importer."""
    group = typer.Typer(no_args_is_help=True, help="Turn a public or an own data set into a datalist.")
    for name, importer in IMPORTERS.items():
        summary = (inspect.getdoc(importer) or "").splitlines()[0]
        group.command(name, help=summary, no_args_is_help=True)(_command(importer))
    app.add_typer(group, name="import")


def _command(importer: Callable[..., ImportResult]) -> Callable[..., None]:
    """A function with the signature that Typer reads: the importer's own parameters, the common options, ``--output``."""
    hints = get_type_hints(importer, include_extras=True)
    parameters: list[inspect.Parameter] = []
    rules: dict[str, type] = {}
    for parameter in inspect.signature(importer).parameters.values():
        hint = hints[parameter.name]
        if hint in _RULE_OPTIONS:
            rules[parameter.name] = hint
            continue
        parameters.append(_option(parameter, hint))
    for rule in rules.values():
        parameters.extend(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in _RULE_OPTIONS[rule].items()
        )
    parameters.append(inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY, annotation=_OUTPUT))

    def run(**values: Any) -> None:
        output: Path = values.pop("output")
        taken = {LabelRules: _label_rules, SplitRules: _split_rules}
        built = {name: taken[rule](values) for name, rule in rules.items()}  # type: ignore[index]
        result = importer(**values, **built)
        save_datalist(result.datalist, output)
        _print_account(result, output)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


def _option(parameter: inspect.Parameter, hint: Any) -> inspect.Parameter:
    kind, text = get_args(hint)
    required = parameter.default is inspect.Parameter.empty
    info = typer.Argument(help=text, show_default=False) if required else typer.Option(help=text)
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, info])


def _label_rules(values: dict[str, Any]) -> LabelRules:
    classes = tuple(name.strip() for name in values.pop("classes").split(",") if name.strip())
    groups = {name: tuple(part.strip() for part in members.split(",")) for name, members in _pairs("group", values.pop("group"))}
    mapping = {label: None if target in ("", "null") else target for label, target in _pairs("map", values.pop("map"))}
    return LabelRules(classes, groups or None, mapping)


def _split_rules(values: dict[str, Any]) -> SplitRules:
    return SplitRules(fractions=tuple(values.pop("fractions")), seed=values.pop("seed"))


def _pairs(option: str, texts: list[str] | None) -> list[tuple[str, str]]:
    pairs = [text.rpartition("=") for text in texts or ()]
    for text, (name, equals, _) in zip(texts or (), pairs, strict=True):
        if not equals or not name.strip():
            raise UsageError(f"--{option} '{text}': write NAME=VALUE")
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _print_account(result: ImportResult, output: Path) -> None:
    console = Console(soft_wrap=True, highlight=False)
    counts = Counter((section, item.source or "-", item.label or "no label") for section, item in result.datalist.items())
    columns = ("training", "validation", "testing")
    table = Table(title=f"{result.datalist.name}: pictures by source, label and split")
    for heading in ("source", "label"):
        table.add_column(heading)
    for heading in columns:
        table.add_column(heading, justify="right")
    for source, label in sorted({key[1:] for key in counts}):
        table.add_row(source, label, *(str(counts[section, source, label]) for section in columns))
    table.add_row("all", "", *(str(len(result.datalist.section(section))) for section in columns), style="bold")
    console.print(table)
    outlines = Counter(item.mask_kind for _, item in result.datalist.items())
    console.print("outlines: " + ", ".join(f"{kind} {count}" for kind, count in sorted(outlines.items())), markup=False)
    for note in result.notes:
        console.print(f"note: {note}", markup=False)
    for reason, count in result.left_out.items():
        console.print(f"left out: {count} ({reason}), such as {', '.join(result.examples[reason])}", markup=False)
    written = sum(counts.values())
    console.print(
        f"{result.records} pictures listed, {written} written, {sum(result.left_out.values())} left out -> {output}", markup=False
    )
