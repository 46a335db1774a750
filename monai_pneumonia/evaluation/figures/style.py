"""One look for all figures: colours that stay apart for colour-blind readers, thin axes, nothing that carries no number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Okabe and Ito's palette without its yellow, which is too pale for a line on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
LINE_STYLES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (3, 1.2, 1, 1.2)), (0, (1, 1.2)))
INK = "#222222"
FAINT = "#8A8A8A"
GRID = "#E4E4E4"
LONGEST_NAME = 28

_RESOLUTION = 160
_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    # White, without a line round it: a curve that runs behind the legend does not cross its text.
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    # Names come from data: a dollar sign in one is no formula.
    "text.parse_math": False,
    # Letters as outlines look alike in every browser; the fixed salt makes a rerun byte-identical.
    "svg.fonttype": "path",
    "svg.hashsalt": "monai-pneumonia",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draws in our look inside the block, whatever the user's own settings say."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, its parts laid out so that nothing is cut."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06), facecolor="white")


def colour(position: int) -> str:
    """The colour of the nth thing shown."""
    return PALETTE[position % len(PALETTE)]


def line_style(position: int) -> Any:
    """The line style of the nth thing shown, so that lines stay apart in grey print, too."""
    return LINE_STYLES[position % len(LINE_STYLES)]


def name_for_figure(name: str) -> str:
    """A name from the data, short enough for a figure and kept by legends, which drop a leading underscore."""
    short = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    return f"\u200a{short}" if short.startswith("_") else short


def unit_square(axes: Axes, x_label: str, y_label: str) -> None:
    """Both axes from 0 to 1 at the same scale."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x_label, ylabel=y_label, aspect="equal")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes a figure as SVG and PNG; the same figure gives the same bytes."""
    FigureCanvasSVG(figure).print_figure(folder / f"{name}.svg", format="svg", metadata={"Date": None})
    FigureCanvasAgg(figure).print_figure(folder / f"{name}.png", format="png", dpi=_RESOLUTION, metadata={"Software": None})
