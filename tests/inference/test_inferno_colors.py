from __future__ import annotations

import matplotlib
import numpy as np

from monai_pneumonia.inference.inferno import inferno


def test_the_colors_are_matplotlibs() -> None:
    values = np.linspace(0, 1, 1001).reshape(7, 143)
    np.testing.assert_allclose(inferno(values), matplotlib.colormaps["inferno"](values)[..., :3], atol=0.5 / 255)


def test_values_outside_take_the_color_of_the_nearest_end() -> None:
    np.testing.assert_array_equal(inferno(np.array([-3.0, 7.0])), inferno(np.array([0.0, 1.0])))
