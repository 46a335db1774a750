from __future__ import annotations

import pytest

from monai_pneumonia.data.importers.tables import read_box, read_table
from monai_pneumonia.errors import BadInputError


@pytest.mark.parametrize(
    "content",
    [
        b"image,label\na.png,normal\n",
        b"\xef\xbb\xbfimage,label\r\na.png,normal\r\n\r\n",
        b"image; label\na.png; normal\n",
        b"image\tlabel\n a.png \tnormal",
        b'"image","label"\n"a.png","normal"\n',
    ],
)
def test_dialects(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    table = read_table(tmp_path / "table.csv", ["image", "label"])
    assert table.columns == ("image", "label")
    assert table.rows == ({"image": "a.png", "label": "normal"},)


def test_quoted_cells_may_hold_separators_and_lines(tmp_path, rows):
    table = read_table(rows(tmp_path / "table.csv", "image,notes", 'a.png,"one, two', 'three ""four"""', "b.png,"))
    assert [row["image"] for row in table.rows] == ["a.png", "b.png"]
    assert table.rows[0]["notes"] == 'one, two\nthree "four"'


def test_short_rows_are_filled_and_long_ones_refused(tmp_path, rows):
    assert read_table(rows(tmp_path / "short.csv", "a,b,c", "1,2")).rows == ({"a": "1", "b": "2", "c": ""},)
    assert read_table(rows(tmp_path / "trailing.csv", "a,b", "1,2,,")).rows == ({"a": "1", "b": "2"},)
    with pytest.raises(BadInputError, match=r"long\.csv: row 3 has 3 cells, its header 2"):
        read_table(rows(tmp_path / "long.csv", "a,b", "1,2", "1,2,3"))


def test_missing_columns_are_named_with_those_found(tmp_path, rows):
    with pytest.raises(BadInputError, match=r"no column 'image', 'view'; it has \['file', 'label'\]"):
        read_table(rows(tmp_path / "table.csv", "file,label", "a,b"), ["image", "label", "view"])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01\n\x80"])
def test_empty_or_binary_files_are_refused(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(BadInputError, match=r"table\.csv"):
        read_table(tmp_path / "table.csv", ["image"])


def test_missing_file(tmp_path):
    with pytest.raises(BadInputError, match=r"gone\.csv: No such file"):
        read_table(tmp_path / "gone.csv")


def test_box_from_a_row(tmp_path):
    row = {"x": "1", "y": "2.5", "w": "3", "h": "4e1"}
    assert read_box(tmp_path, row, ("x", "y", "w", "h")) == (1.0, 2.5, 3.0, 40.0)
    with pytest.raises(BadInputError, match=r"numbers in x, y, w, h, got \['1', '', '3', '4e1'\]"):
        read_box(tmp_path, {**row, "y": ""}, ("x", "y", "w", "h"))
