"""What a prediction run takes in: nothing is lost without a word, and every id can name files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_pneumonia.errors import BadInputError, ExitCode, NothingToAnalyseError, UsageError
from monai_pneumonia.inference import file_name_of, find_pictures


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def ids(root: Path, **arguments) -> dict[str, str]:
    return {picture.listed_as: picture.id for picture in find_pictures(root, **arguments).pictures}


def test_a_file_is_named_without_its_ending(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.nii.gz", "1.2.840.10008.dcm", "1.2.840.10009", "Noending")
    for name, identifier in (
        ("a.png", "a"),
        ("b.nii.gz", "b"),
        ("1.2.840.10008.dcm", "1.2.840.10008"),
        ("1.2.840.10009", "1.2.840.10009"),
        ("Noending", "Noending"),
    ):
        (picture,) = find_pictures(tmp_path / name).pictures
        assert (picture.id, picture.path, picture.listed_as) == (identifier, tmp_path / name, name)


def test_a_folder_is_searched_to_the_bottom_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a/2.png", "a/10.png", "a/deep/er.dcm", "c.txt")
    assert ids(tmp_path) == {"a/10.png": "a__10", "a/2.png": "a__2", "a/deep/er.dcm": "a__deep__er", "b.png": "b", "c.txt": "c"}
    assert list(ids(tmp_path)) == ["a/10.png", "a/2.png", "a/deep/er.dcm", "b.png", "c.txt"]
    assert find_pictures(tmp_path).pictures[0].path == tmp_path / "a" / "10.png"


def test_hidden_files_and_dicomdir_are_left_aside_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", ".hidden", ".folder/x.png", ".folder/deep/y.png", "DICOMDIR", "sub/DICOMDIR", "sub/.z")
    found = find_pictures(tmp_path)
    assert [picture.listed_as for picture in found.pictures] == ["a.png"]
    assert found.left_aside == 6


def test_ids_are_unique_and_do_not_hang_on_other_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.dcm", "A.jpg", "x/y.png", "x__y.png", "plain.png")
    found = ids(tmp_path)
    assert len({identifier.casefold() for identifier in found.values()}) == 6
    assert found["plain.png"] == "plain"
    assert found["a.png"].startswith("a-")
    touch(tmp_path, "another.png")
    assert ids(tmp_path).items() >= found.items()


def test_links_are_followed_once_and_broken_ones_listed(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "out/b.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    assert list(ids(tmp_path / "in")) == ["a.png", "broken.png", "linked/b.png"]


def test_what_is_no_regular_file_would_never_end_and_is_left_aside(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe")
    found = find_pictures(tmp_path)
    assert ([picture.id for picture in found.pictures], found.left_aside) == (["a"], 1)


def test_the_folder_of_the_results_is_not_searched(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "out/overlays/a.png")
    assert list(ids(tmp_path, aside=tmp_path / "out")) == ["a.png"]
    with pytest.raises(UsageError, match="input and the output folder"):
        find_pictures(tmp_path, aside=tmp_path / "out" / "..")


def test_nothing_to_analyse(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden")
    with pytest.raises(NothingToAnalyseError, match="no file to analyse"):
        find_pictures(tmp_path)
    with pytest.raises(BadInputError, match="does not exist") as caught:
        find_pictures(tmp_path / "none")
    assert caught.value.exit_code == ExitCode.BAD_INPUT


def write_datalist(file: Path, **sections) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"classes": ["normal", "ill"], "training": [], "validation": [], "testing": [], **sections}
    file.write_text(json.dumps(content))
    return file


def test_a_datalist_gives_its_section_and_ids(tmp_path: Path) -> None:
    file = write_datalist(
        tmp_path / "lists" / "datalist.json",
        training=[{"id": "t", "image": "../t.png"}],
        testing=[{"id": "b/2", "image": "../b.png"}, {"id": "a", "image": "sub/a.png"}],
    )
    testing = find_pictures(file).pictures
    assert [(picture.id, picture.listed_as) for picture in testing] == [("b/2", "../b.png"), ("a", "sub/a.png")]
    assert [picture.path for picture in testing] == [tmp_path / "b.png", tmp_path / "lists" / "sub" / "a.png"]
    assert [picture.id for picture in find_pictures(file, "training").pictures] == ["t"]
    assert [picture.id for picture in find_pictures(file, "all").pictures] == ["t", "b/2", "a"]


def test_faults_of_a_datalist(tmp_path: Path) -> None:
    file = write_datalist(tmp_path / "d.json", testing=[{"id": "a", "image": "a.png"}, {"id": "a", "image": "b.png"}])
    with pytest.raises(BadInputError, match="'a'"):
        find_pictures(file)
    with pytest.raises(NothingToAnalyseError, match=r"no item in its section 'training'.*--section"):
        find_pictures(file, "training")
    with pytest.raises(UsageError, match="--section is 'test'"):
        find_pictures(file, "test")
    file.write_text("[]")
    with pytest.raises(BadInputError, match="schema"):
        find_pictures(file)


@pytest.mark.parametrize("identifier", ["nih_00000218_000", "a b (1)", "1.2.840", "ärztin", "x-y=z@1+2"])
def test_ids_that_can_name_files_do(identifier: str) -> None:
    assert file_name_of(identifier) == identifier


@given(st.text(max_size=300), st.text(max_size=300))
def test_every_id_has_a_safe_name_of_its_own(first: str, second: str) -> None:
    name = file_name_of(first)
    assert name
    assert not set(name) & set('/\\:*?"<>|\n\r\t\0')
    assert not name.startswith((".", " "))
    assert not name.endswith(" ")
    assert len(f"{name}.npy".encode()) < 255
    assert (name == file_name_of(second)) == (first == second)
