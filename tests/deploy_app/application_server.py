"""Starts the application many times without paying for its imports each time.

The server imports what ``python deploy_app`` imports, and forks for every run: each run is a process of its own with the real command,
its own streams, signals and exit code. Run as a script it is the server, which takes one line of JSON a run.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving_runs import ROOT, CommandRun

SECONDS = 300.0


class Running:
    """A run that has been started."""

    def __init__(self, server: ApplicationServer, pid: int, folder: Path) -> None:
        self._server, self.pid, self._folder = server, pid, folder
        self._ended = False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def abandon(self) -> None:
        """Ends it, if a test that failed has left it running."""
        if not self._ended:
            self.kill()
            self.wait()

    def served(self) -> int:
        """How many images it says to have served so far."""
        return self.errors().count('"image_served"')

    def errors(self) -> str:
        """What it has written to standard error so far."""
        return (self._folder / "stderr").read_text(errors="surrogateescape")

    def wait_for(self, text: str) -> None:
        """Waits until its log holds a text."""
        deadline = time.monotonic() + SECONDS
        while text not in self.errors():
            assert time.monotonic() < deadline, f"no {text} in {self.errors()[-2000:]}"
            time.sleep(0.005)

    def peak_megabytes(self) -> float:
        """The greatest resident memory so far, or since :meth:`forget_peak`; 0 where it has ended."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0.0
        found = re.search(r"VmHWM:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0

    def forget_peak(self) -> None:
        """Has Linux measure the peak anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def wait_with_peak(self, from_image: int = 0) -> tuple[CommandRun, float]:
        """Waits for its end, and gives the peak of its memory from when it had served so many images."""
        while self.served() < from_image:
            assert self.peak_megabytes(), "it ended too early"
            time.sleep(0.01)
        if from_image:
            self.forget_peak()
        peak = 0.0
        while now := self.peak_megabytes():
            peak = max(peak, now)
            time.sleep(0.01)
        return self.wait(), peak

    def wait(self) -> CommandRun:
        """Waits for its end."""
        code = self._server.answer()
        self._ended = True
        return CommandRun(code, (self._folder / "stdout").read_text(errors="surrogateescape"), self.errors())


class ApplicationServer:
    """Runs the application, one run at a time.

    Args:
        folder: for the runs' streams.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._running: Running | None = None
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
        )
        assert self.answer() == 0

    def start(
        self,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
        kill_before: int = 0,
        obeys_rights: bool = False,
    ) -> Running:
        """Starts a run.

        Args:
            arguments: of the command.
            environment: further variables.
            limits: resource limits, such as {"RLIMIT_FSIZE": bytes}.
            kill_before: has the process kill itself before so many changes of the file system; 0 does not.
            obeys_rights: takes from root the privilege to read and write whatever belongs to others.
        """
        if self._running is not None:
            self._running.abandon()
        self._count += 1
        streams = self._folder / f"run-{self._count}"
        streams.mkdir()
        for name in ("stdout", "stderr"):
            (streams / name).touch()
        order = {
            "arguments": list(map(os.fsdecode, map(_text, arguments))),
            "environment": dict(environment or {}),
            "limits": dict(limits or {}),
            "kill_before": kill_before,
            "obeys_rights": obeys_rights,
            "streams": str(streams),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._running = Running(self, self.answer(), streams)
        return self._running

    def run(self, *arguments: object, **settings: Any) -> CommandRun:
        """Runs to the end."""
        return self.start(*arguments, **settings).wait()

    def answer(self) -> int:
        """The next number that the server says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the server died with {self._process.wait()}"
        return int(line)

    def close(self) -> None:
        """Ends the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(SECONDS)


def _text(argument: object) -> str | bytes:
    return argument if isinstance(argument, (str, bytes)) else str(argument)


def _import_all() -> None:
    """In the order of the command, which leaves out what serving does not need."""
    sys.path.insert(0, str(ROOT))
    importlib.import_module("deploy_app.command")
    importlib.import_module("deploy_app.runtime").leave_out_unused()
    for name in ("deploy_app.run", "deploy_app.application", *_SERVING):
        importlib.import_module(name)


# What a run imports when it needs it.
_SERVING = (
    *("monai_pneumonia.dicom.writing", "monai_pneumonia.inference", "monai_pneumonia.radiograph.dicom", "highdicom.sr", "highdicom.seg"),
    *("monai_pneumonia.inference.overlay", "pydicom.pixels", "PIL.Image", "openjpeg", "rle", "jpeg_ls"),
)


def _become(order: Mapping[str, Any]) -> None:
    """The child: the command with its own streams; never returns."""
    os.setsid()
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(Path(order["streams"]) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.environ.update(order["environment"])
    for name, value in order["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if order["limits"]:
        # Python ignores this signal in the command too; here it must not kill the child.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if order["obeys_rights"]:
        _give_up_overriding()
    if order["kill_before"]:
        _kill_before(order["kill_before"])
    sys.argv = ["deploy_app", *order["arguments"]]
    from deploy_app.command import main

    main()


def _give_up_overriding() -> None:
    """Drops CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, and keeps the others."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for index in range(3):
        sets[index] &= ~0b110
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def _kill_before(count: int) -> None:
    """Ends this process in the midst of its work, before the given number of changes of the file system."""
    left = [count]

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **keywords)

        return call

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))


CHANGES: Sequence[str] = ("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "link", "fsync")


def _serve() -> None:
    _import_all()
    print(0, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                _become(order)
            finally:
                os._exit(99)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
