from __future__ import annotations

from monai_pneumonia.radiograph.types import one_line


def test_a_long_error_ends_after_a_whole_word() -> None:
    text = one_line(ValueError("two\nlines, " + "transfer " * 99))
    assert text.startswith("ValueError: two lines, transfer ")
    assert text.endswith("transfer ...")
    assert len(text) <= 200
