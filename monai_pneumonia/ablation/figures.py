"""The figures of a study: differences, recall of each class, localisation, few labels and many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_pneumonia.ablation.comparing import ComparedRow
from monai_pneumonia.ablation.localization import ATTENTION, GRADCAMPP, MEAN_OUTLINE
from monai_pneumonia.ablation.measuring import ALL_SOURCES, localization_key
from monai_pneumonia.ablation.study import REFERENCE_ARM
from monai_pneumonia.ablation.summary import Key, Summary
from monai_pneumonia.evaluation.figures.style import FAINT, INK, colour, house_style, name_for_figure, new_figure, save

FIGURES_FOLDER = "figures"
_AUC = "p_pneumonia_auc"
_POINTS = {_AUC: "AUC of p_pneumonia", "macro_auc": "macro AUC", "balanced_accuracy": "balanced accuracy"}
_LOCALIZATION = {"pointing_game": "pointing game", "attention_inside": "attention inside", "dice": "Dice"}


@dataclass(frozen=True)
class Shown:
    """What figures are drawn from.

    Attributes:
        summary: means over folds.
        differences: rows of differences.csv.
        titles: arm to its title.
        guided: the arms that use outlines in training.
    """

    summary: Summary
    differences: Sequence[ComparedRow]
    titles: Mapping[str, str]
    guided: Set[str] = frozenset()


@dataclass(frozen=True)
class FigureKind:
    """A figure of every study.

    Attributes:
        name: of its files, without the ending.
        title: over it on the page.
        caption: how to read it.
        draw: gives None where the study holds nothing to draw.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Shown], Figure | None]


def draw_study(shown: Shown, folder: Path) -> set[str]:
    """Draws all figures that the study has values for, as SVG and PNG; removes those of an earlier report that it has none for.

    Returns:
        The names of those drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = set()
    with house_style():
        for kind in FIGURES:
            figure = kind.draw(shown)
            if figure is None:
                for ending in ("svg", "png"):
                    (folder / f"{kind.name}.{ending}").unlink(missing_ok=True)
            else:
                save(figure, folder, kind.name)
                drawn.add(kind.name)
    return drawn


def draw_differences(shown: Shown) -> Figure | None:
    """Differences of every arm to the plain one in the AUC of pneumonia, a panel for each split."""
    summary, share = shown.summary, shown.summary.main_fraction()
    rows = {
        (row.arm, row.split): row.difference
        for row in shown.differences
        if (row.reference, row.label_fraction, row.source, row.metric) == (REFERENCE_ARM, share, ALL_SOURCES, _AUC)
        and row.difference.difference is not None
    }
    arms = [arm for arm in shown.titles if any(name == arm for name, _ in rows)]
    if not arms:
        return None
    figure = new_figure(10.5, 1.1 + 0.29 * len(arms))
    panels = figure.subplots(1, len(summary.splits), sharey=True, squeeze=False)[0]
    for panel, split in zip(panels, summary.splits, strict=True):
        plain = summary.mean(Key(REFERENCE_ARM, share, split, _AUC))
        panel.set_title(f"{split}" + ("" if plain is None else f" (plain {plain:.3f})"))
        panel.axvline(0, color=FAINT, linewidth=0.9)
        panel.grid(False, axis="y")
        panel.xaxis.set_major_locator(MaxNLocator(5))
        for at, arm in enumerate(arms):
            found = rows.get((arm, split))
            if found is None or found.difference is None:
                continue
            decided = found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)
            shade = colour(0) if decided and found.difference > 0 else colour(1) if decided else INK
            if found.low is not None:
                panel.hlines(at, found.low, found.high, color=shade, linewidth=1.6)
            panel.plot(found.difference, at, "s", color=shade, markersize=5)
    _name_rows(panels, [shown.titles[arm] for arm in arms])
    figure.supxlabel("difference in the AUC of p_pneumonia to the plain network, 95 % interval", fontsize=9)
    return figure


def _name_rows(panels: Sequence[Axes], names: Sequence[str]) -> None:
    panels[0].set_yticks(range(len(names)), [name_for_figure(name) for name in names])
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for panel in panels:
        panel.tick_params(axis="y", length=0)


def draw_recall(shown: Shown) -> Figure | None:
    """Recall of each class, a panel for each: the mean over folds, and each fold."""
    summary, share = shown.summary, shown.summary.main_fraction()
    split = "testing" if "testing" in summary.splits else summary.splits[0]
    metrics = [metric for metric in summary.metrics("sensitivity_") if _any(summary, shown, share, split, metric)]
    return _dots(shown, share, split, {metric: metric.removeprefix("sensitivity_") for metric in metrics}, f"recall, {split}")


def draw_values(shown: Shown) -> Figure | None:
    """The AUC of pneumonia of every arm, a panel for each split: the mean over folds, and each fold."""
    summary, share = shown.summary, shown.summary.main_fraction()
    arms = [arm for arm in shown.titles if any(summary.values(Key(arm, share, split, _AUC)) for split in summary.splits)]
    if not arms:
        return None
    figure = new_figure(10.5, 1.1 + 0.29 * len(arms))
    panels = figure.subplots(1, len(summary.splits), sharey=True, sharex=True, squeeze=False)[0]
    for panel, split in zip(panels, summary.splits, strict=True):
        panel.set_title(split)
        _draw_dots(panel, [summary.values(Key(arm, share, split, _AUC)) for arm in arms])
    _name_rows(panels, [shown.titles[arm] for arm in arms])
    figure.supxlabel("AUC of p_pneumonia", fontsize=9)
    return figure


def _any(summary: Summary, shown: Shown, share: float, split: str, metric: str) -> bool:
    return any(summary.values(Key(arm, share, split, metric)) for arm in shown.titles)


def _dots(shown: Shown, share: float, split: str, panels_of: Mapping[str, str], label: str) -> Figure | None:
    summary = shown.summary
    arms = [arm for arm in shown.titles if any(summary.values(Key(arm, share, split, metric)) for metric in panels_of)]
    if not arms:
        return None
    figure = new_figure(10.5, 1.1 + 0.29 * len(arms))
    panels = figure.subplots(1, len(panels_of), sharey=True, squeeze=False)[0]
    for panel, (metric, title) in zip(panels, panels_of.items(), strict=True):
        panel.set_title(name_for_figure(title))
        panel.set_xlim(-0.03, 1.03)
        _draw_dots(panel, [summary.values(Key(arm, share, split, metric)) for arm in arms])
    _name_rows(panels, [shown.titles[arm] for arm in arms])
    figure.supxlabel(label, fontsize=9)
    return figure


def _draw_dots(axes: Axes, rows: Sequence[Sequence[float]]) -> None:
    """Each row's values as faint dots, and their mean with its number."""
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    for at, values in enumerate(rows):
        if values:
            shade = colour(0) if at else INK
            axes.plot(values, [at] * len(values), "o", color=shade, markersize=3.5, alpha=0.3, markeredgewidth=0)
            axes.plot(sum(values) / len(values), at, "|", color=shade, markersize=11, markeredgewidth=2)


def draw_localization(shown: Shown) -> Figure | None:
    """How well maps point at lesions: bars for every arm's map and for the baselines of the plain network."""
    summary, share = shown.summary, shown.summary.main_fraction()
    found = [
        (kind, split)
        for split in dict.fromkeys(("flipped", "testing", *summary.splits))
        for kind in ("pixel", "box")
        if _any(summary, shown, share, split, localization_key(ATTENTION, kind, "pointing_game"))
    ]
    if not found:
        return None
    kind, split = found[0]
    names = {"dice": "box_union_dice"} if kind == "box" else {}
    bars = [(shown.titles[arm], arm, ATTENTION) for arm in shown.titles]
    bars += [(_baseline_title(name), REFERENCE_ARM, name) for name in _baselines(summary, kind)]
    panels_of = {names.get(metric, metric): title for metric, title in _LOCALIZATION.items()}
    known = [bar for bar in bars if summary.values(Key(bar[1], share, split, localization_key(bar[2], kind, "pointing_game")))]
    figure = new_figure(10.5, 1.1 + 0.26 * len(known))
    panels = figure.subplots(1, len(panels_of), sharey=True, squeeze=False)[0]
    for panel, (metric, title) in zip(panels, panels_of.items(), strict=True):
        panel.set_title(title)
        panel.grid(False, axis="y")
        panel.set_xlim(0, 1)
        for at, (_, arm, name) in enumerate(known):
            value = summary.mean(Key(arm, share, split, localization_key(name, kind, metric)))
            if value is not None:
                panel.barh(at, value, color=colour(0) if name == ATTENTION and arm in shown.guided else FAINT, height=0.66)
                gap, side, ink = (-0.015, "right", "white") if value > 0.85 else (0.015, "left", INK)
                panel.text(value + gap, at, f"{value:.2f}", va="center", ha=side, fontsize=7.5, color=ink)
    _name_rows(panels, [title for title, _, _ in known])
    figure.supxlabel(f"{split}, outlines of kind '{kind}'; grey: no outline was used in training", fontsize=9)
    return figure


def _baselines(summary: Summary, kind: str) -> list[str]:
    """The maps of the plain network besides its own that were measured."""
    ending = f"_pointing_game_{kind}"
    return [metric.removesuffix(ending) for metric in summary.metrics() if metric.endswith(ending)]


def _baseline_title(name: str) -> str:
    return "mean outline" if name == MEAN_OUTLINE else f"Grad-CAM++, stride {name.removeprefix(f'{GRADCAMPP}_')}"


def draw_labels(shown: Shown) -> Figure | None:
    """Arms that were trained with several shares of labels: values against the share, a panel for each metric, testing."""
    summary = shown.summary
    arms = [arm for arm in shown.titles if len(summary.fractions(arm)) > 1]
    if not arms:
        return None
    split = "testing" if "testing" in summary.splits else summary.splits[0]
    shares = sorted({share for arm in arms for share in summary.fractions(arm)})
    figure = new_figure(10.5, 3.4)
    panels = figure.subplots(1, len(_POINTS), squeeze=False)[0]
    for panel, (metric, title) in zip(panels, _POINTS.items(), strict=True):
        panel.set_title(title)
        for position, arm in enumerate(arms):
            means = [(shares.index(share), summary.mean(Key(arm, share, split, metric))) for share in summary.fractions(arm)]
            points = [(at, mean) for at, mean in means if mean is not None]
            shade = INK if arm == REFERENCE_ARM else colour(position - 1)
            panel.plot(*zip(*points, strict=True), "o-", color=shade, markersize=4.5, label=name_for_figure(shown.titles[arm]))
        panel.set_xticks(range(len(shares)), [f"{100 * share:g} %" for share in shares])
        panel.set_xlim(-0.2, len(shares) - 0.8)
    panels[0].legend(loc="best")
    figure.supxlabel(f"share of the training patients whose labels are used; {split}, mean over folds", fontsize=9)
    return figure


FIGURES: tuple[FigureKind, ...] = (
    FigureKind(
        "differences",
        "What each arm adds",
        "Difference to the plain network on the same pictures, mean over folds, with its interval over resampled patients. Blue: the whole "
        "interval lies above 0; orange: below.",
        draw_differences,
    ),
    FigureKind("values", "AUC of pneumonia", "One dot a fold; the bar is their mean.", draw_values),
    FigureKind("recall", "Recall of each class", "One dot a fold; the bar is their mean. Likeliest class, no threshold.", draw_recall),
    FigureKind(
        "localization",
        "Where the maps point",
        "Mean over folds. Each map is cut at the threshold that does best on its fold's validation pictures. A plain network has no "
        "attention: its own map is its class activation.",
        draw_localization,
    ),
    FigureKind("labels", "Few labels and many", "Arms that were trained with several shares of the labels.", draw_labels),
)
