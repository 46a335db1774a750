"""Errors at the edge of a bundle's expression: one line and an exit code."""

from __future__ import annotations

import pytest

from monai_pneumonia.engines import guarded, one_line_errors
from monai_pneumonia.errors import BadInputError, ExitCode, ModelFaultError, UnreadableImageError


def _end(capsys: pytest.CaptureFixture[str], error: Exception, exit_code: ExitCode | None = None) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended, one_line_errors(exit_code):
        raise error
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(capsys, ModelFaultError("no weights at models/model.pt")) == (6, "error: no weights at models/model.pt\n")


def test_another_code_may_stand_in(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = _end(capsys, BadInputError("a.json is no datalist"), ExitCode.USAGE)
    assert code == 2
    assert "a.json" in told


def test_an_error_of_ours_is_found_under_what_monai_wraps_around_it(capsys: pytest.CaptureFixture[str]) -> None:
    wrapped = RuntimeError("applying transform <LoadRadiographd>")
    wrapped.__cause__ = UnreadableImageError("a.png: cut short")
    outer = RuntimeError("Failed to evaluate ConfigExpression")
    outer.__cause__ = wrapped
    assert _end(capsys, outer) == (4, "error: a.png: cut short\n")


def test_what_is_no_fault_of_the_user_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        1 / 0  # noqa: B018


def test_the_traceback_is_there_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_PNEUMONIA_TRACEBACK", "1")
    with pytest.raises(BadInputError), one_line_errors():
        raise BadInputError("a.json is no datalist")


def test_another_process_of_a_training_says_which_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "1")
    code, told = _end(capsys, BadInputError("a.png: cut short"))
    assert code == 4
    # Who reads the first process's line alone sees each fault of the user's once.
    assert not told.startswith("error: ")
    assert "1" in told


def test_a_guarded_call_gives_its_value_or_ends() -> None:
    assert guarded(max, 1, 3) == 3
    assert guarded(sorted, [2, 1], reverse=True) == [2, 1]

    def refuse() -> None:
        raise BadInputError("no")

    with pytest.raises(SystemExit):
        guarded(refuse)
