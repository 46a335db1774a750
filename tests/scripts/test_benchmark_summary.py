from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "lib"))
from benchmark import Start, summary, table


def further(served: float, decoding: float, forward: float) -> dict[str, object]:
    return {name: {"wall": value, "cpu": value / 2} for name, value in (("served", served), ("decoding", decoding), ("forward", forward))}


def test_ratios_are_of_pairs_and_differences_of_images() -> None:
    application = [Start(6.0, 4.0), Start(9.0, 4.0), Start(4.0, 4.0)]
    nothing = [Start(3.0, 2.0), Start(3.0, 2.0), Start(4.0, 2.0)]
    warm = [further(100, 10, 20), further(300, 100, 50), further(90, 20, 20)]
    figures = summary(application, nothing, warm)
    # pairs: 2, 3 and 1; images: 70, 150 and 50 beyond decoding and forward pass
    assert figures["wall"]["ratio"] == pytest.approx(2.0)
    assert figures["wall"]["application"] == 6.0
    assert figures["wall"]["nothing"] == 3.0
    assert figures["cpu"]["ratio"] == pytest.approx(2.0)
    assert figures["wall"]["beyond"] == 70
    assert figures["cpu"]["beyond"] == 35
    assert figures["wall"]["served"] == 100


def test_the_table_says_whether_an_aim_is_met() -> None:
    slow = summary([Start(9.0, 9.0)], [Start(3.0, 3.0)], [further(300, 10, 20)])
    quick = summary([Start(3.0, 3.0)], [Start(3.0, 3.0)], [further(50, 10, 20)])
    assert table(slow).count("missed on the clock") == 2
    assert table(quick).count("met on the clock") == 2
