from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from datetime import datetime

import pytest
from serving_runs import ROOT

from deploy_app.logs import Stopwatch, log, start_logging


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    start_logging(stream)
    return stream


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    log("image_served", number=3, milliseconds=1.5, reason="two\nlines")
    line = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert list(line) == ["time", "level", "event", "number", "milliseconds", "reason"]
    assert line["level"] == "info"
    assert datetime.fromisoformat(line["time"].replace("Z", "+00:00")).utcoffset() is not None


def test_levels() -> None:
    stream = io.StringIO()
    start_logging(stream, "warning")
    log("a")
    log("b", "warning")
    log("c", "error")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["b", "c"]


def test_nothing_reaches_the_root_logger(stream: io.StringIO) -> None:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger().addHandler(handler)
    try:
        log("quiet", "error")
    finally:
        logging.getLogger().removeHandler(handler)
    assert stream.getvalue()
    assert not heard.getvalue()


def test_stopwatch_laps_add_up() -> None:
    watch = Stopwatch()
    first, second = watch.lap(), watch.lap()
    assert 0 <= first + second <= watch.milliseconds + 0.2


NOISE = """
import os, sys, warnings, ctypes
from deploy_app.logs import log, quiet_streams, start_logging
with quiet_streams() as streams:
    start_logging(streams.errors)
    print("python speaks"); print("python shouts", file=sys.stderr)
    warnings.warn("secret")
    ctypes.CDLL(None).puts(b"C speaks"); ctypes.CDLL(None).fflush(None)
    os.write(2, b"C shouts")
    log("event")
    print("for people", file=streams.output)
print("after")
"""


def noisy(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MONAI_PNEUMONIA_TRACEBACK"}
    command = [sys.executable, "-c", NOISE]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env={**environment, **variables})


def test_what_libraries_print_is_lost() -> None:
    run = noisy()
    assert run.stdout == "for people\nafter\n"
    assert json.loads(run.stderr)["event"] == "event"


def test_a_traceback_run_lets_libraries_speak() -> None:
    run = noisy(MONAI_PNEUMONIA_TRACEBACK="1")
    assert "python speaks" in run.stdout
    assert "C shouts" in run.stderr
