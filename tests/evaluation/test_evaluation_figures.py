"""Figures are drawn where they can be, and say what they should."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image
from sklearn.metrics import auc

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.evaluation.figures import FIGURES, draw_figures, figure_files
from monai_pneumonia.evaluation.figures.curves import draw_roc
from monai_pneumonia.evaluation.figures.forest import draw_forest
from monai_pneumonia.evaluation.figures.reliability import draw_reliability, wilson_interval
from monai_pneumonia.evaluation.figures.style import PALETTE, house_style, name_for_figure
from monai_pneumonia.evaluation.joining import Joined
from monai_pneumonia.evaluation.measuring import Settings, measure
from monai_pneumonia.evaluation.predictions import Predictions


def evaluated(labels, classes=("normal", "bacterial", "viral"), probabilities=None, sources=None):
    """Items with these labels, and metrics of random predictions about them."""
    generator = np.random.default_rng(0)
    space = LabelSpace.of(classes, {"some pneumonia": classes[1:]} if len(classes) > 1 else {})
    items = tuple(
        DatalistItem(f"{at:03}", "x.png", label, source=sources[at] if sources else None, age=3.0 * at) for at, label in enumerate(labels)
    )
    p = generator.dirichlet(np.ones(len(classes)), size=len(items)) if probabilities is None else np.array(probabilities)
    ill = 1 - p[:, space.negative_index]
    table = Predictions("here", None, tuple(i.id for i in items), ("ok",) * len(items), p, ill, ill > 0.5, None, None)
    joined = Joined(Datalist("made up", space, testing=items), "testing", items, np.arange(len(items)), table, frozenset())
    return joined.labelled(), measure(joined, Settings(resamples=100), None)


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


MIXED = ["normal", "bacterial", "viral", "some pneumonia", None] * 8


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    assert draw_figures(*evaluated(MIXED), folder) == {kind.name for kind in FIGURES}
    return folder


def test_all_are_drawn_in_both_forms(gallery):
    assert {f"figures/{file.name}" for file in (gallery / "figures").iterdir()} == set(figure_files())
    for kind in FIGURES:
        with Image.open(gallery / "figures" / f"{kind.name}.png") as picture:
            assert min(picture.size) > 400
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_the_same_input_gives_the_same_bytes_whatever_the_users_style(gallery, tmp_path):
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30}):
        draw_figures(*evaluated(MIXED), tmp_path)
        assert matplotlib.rcParams["font.size"] == 30
    for name in figure_files():
        assert (gallery / name).read_bytes() == (tmp_path / name).read_bytes(), name


def drawn(labelled, metrics):
    """Draws everything small and in memory; gives the names of what could be drawn."""
    names = set()
    with house_style():
        for kind in FIGURES:
            figure = kind.draw(labelled, metrics)
            if figure is not None:
                figure.set_dpi(30)
                FigureCanvasAgg(figure).draw()
                names.add(kind.name)
    return names


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        (["normal", "some pneumonia"] * 4, set()),
        (["bacterial", "viral"] * 4, {"forest"}),
        (["some pneumonia"] * 4, {"roc", "precision_recall", "forest", "confusion"}),
        (["normal"], {"roc", "precision_recall", "forest"}),
    ],
)
def test_what_is_undefined_is_not_drawn(labels, missing):
    assert drawn(*evaluated(labels)) == {kind.name for kind in FIGURES} - missing


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("names", [("normal", "_hidden", "a$b$", "x" * 200, "肺炎"), tuple(f"kind {at}" for at in range(14))])
def test_any_class_name_can_be_shown(names):
    labelled, metrics = evaluated(list(names) * 2, names)
    assert len(drawn(labelled, metrics)) == len(FIGURES)
    with house_style():
        shown = " ".join(texts(draw_roc(labelled, metrics)))
    assert all(name_for_figure(name) in shown for name in names)


def test_extreme_probabilities():
    labelled, metrics = evaluated(["no", "yes"] * 5, ("no", "yes"), probabilities=[[1, 0], [0, 1]] * 5)
    assert len(drawn(labelled, metrics)) == len(FIGURES)


def test_roc_shows_auc_with_interval_and_the_operating_point():
    labelled, metrics = evaluated(MIXED)
    figure = draw_roc(labelled, metrics)
    entry = metrics["overall"]["p_pneumonia_auc"]
    assert f"p_pneumonia  {entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})" in texts(figure)
    (ring,) = [line for line in figure.axes[0].lines if line.get_label() == "operating point"]
    assert ring.get_xydata()[0] == pytest.approx(
        [1 - metrics["overall"]["specificity"]["value"], metrics["overall"]["sensitivity"]["value"]]
    )
    (curve,) = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("p_pneumonia")]
    x, y = curve.get_data()
    assert auc(x, y) == pytest.approx(entry["value"])


def test_forest_names_every_part():
    figure = draw_forest(*evaluated(MIXED, sources=["here", "there"] * 20))
    shown = texts(figure)
    for name in ("All items, n = 32", "here, n = 16", "there, n = 16", "child (0 to 17), n = 5", "older (65 and over), n = 14"):
        assert name in shown


def test_reliability_points_are_the_bins():
    labelled, metrics = evaluated(["normal"] * 10 + ["viral"] * 10, probabilities=[[0.9, 0.05, 0.05]] * 10 + [[0.2, 0.4, 0.4]] * 10)
    figure = draw_reliability(labelled, metrics)
    (points,) = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("ten bins")]
    assert points.get_xydata() == pytest.approx(np.array([[0.1, 0], [0.8, 1]]))


def test_wilson_interval():
    # Wilson's interval of 8 in 10 is .490 to .943; of 0 in 10, 0 to .278 (Newcombe 1998's formula 3).
    low, high = wilson_interval(np.array([0.8, 0.0]), np.array([10.0, 10.0]))
    assert low == pytest.approx([0.4902, 0.0], abs=1e-4)
    assert high == pytest.approx([0.9433, 0.2775], abs=1e-4)


def test_svg_fetches_nothing(gallery):
    for file in (gallery / "figures").glob("*.svg"):
        links = re.findall(r'(?:href|src)="([^"]*)"', file.read_text(encoding="utf-8"))
        assert all(link.startswith(("#", "data:")) for link in links), file.name


def luminance(colour):
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_lines_stand_out_from_white():
    assert all(1.05 / (luminance(colour) + 0.05) > 2 for colour in PALETTE)
