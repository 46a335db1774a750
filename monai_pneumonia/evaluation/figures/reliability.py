"""Whether p_pneumonia means what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_pneumonia.evaluation.figures.style import FAINT, colour, new_figure, unit_square
from monai_pneumonia.evaluation.formatting import with_interval
from monai_pneumonia.evaluation.joining import LabelledPredictions
from monai_pneumonia.metrics.weighted import Floats, TieGroups, equal_mass_bins

_NORMAL_QUANTILE = 1.959964
"""Of the bars on the points, which span 95 %."""

_HISTOGRAM_BINS = 20


def draw_reliability(labelled: LabelledPredictions, metrics: Mapping[str, Any]) -> Figure | None:
    """Share of pneumonia against mean p_pneumonia in bins of equal mass, over a histogram; None where nothing is decided."""
    _, _, sample, _ = labelled.samples()
    if not len(sample):
        return None
    bins = equal_mass_bins(TieGroups.of(sample.p_pneumonia, sample.truth, np.ones((1, len(sample)))))
    filled = bins.mass[0] > 0
    mean, share, mass = bins.mean_score[0][filled], bins.share_positive[0][filled], bins.mass[0][filled]
    low, high = wilson_interval(share, mass)

    figure = new_figure(5.4, 6.0)
    top, bottom = figure.subplots(2, 1, height_ratios=(4, 1.2), sharex=True)
    unit_square(top, "", "share of pneumonia")
    # As wide as the histogram below it; the figure's own shape keeps it nearly square.
    top.set_aspect("auto")
    top.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1, label="perfect calibration")
    top.vlines(mean, low, high, color=colour(0), linewidth=1.1, alpha=0.55, zorder=2)
    top.plot(mean, share, "o-", color=colour(0), linewidth=1.2, markersize=5, zorder=3, label="ten bins of equal mass")
    top.set_title(f"Calibration error {with_interval(metrics['overall']['calibration_error'])}")
    top.legend(loc="upper left")

    edges = np.linspace(0, 1, _HISTOGRAM_BINS + 1)
    parts = [sample.p_pneumonia[~sample.truth], sample.p_pneumonia[sample.truth]]
    bottom.hist(parts, bins=edges, stacked=True, color=[colour(5), colour(1)], label=["no pneumonia", "pneumonia"], linewidth=0)
    bottom.set(xlabel="p_pneumonia", ylabel="items", xlim=(-0.01, 1.01))
    # Room for the legend above the bars.
    bottom.set_ylim(top=1.35 * bottom.get_ylim()[1])
    bottom.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    bottom.legend(loc="upper center", ncols=2)
    return figure


def wilson_interval(share: Floats, count: Floats) -> tuple[Floats, Floats]:
    """The 95 % interval of a share (Wilson's score interval), for items taken as independent.

    Args:
        share: shares, in [0, 1].
        count: the number of items behind each, above zero.
    """
    z2 = _NORMAL_QUANTILE**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _NORMAL_QUANTILE / (1 + z2 / count) * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
