"""A real Orthanc with DICOMweb for the time of a check: own folder, own port, nothing listening for DICOM."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLUGINS = ("libOrthancDicomWeb.so", "libOrthancGdcm.so")
PLUGIN_FOLDERS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"))
LONGEST_START = 60.0


@dataclass(frozen=True)
class Orthanc:
    """A running server's HTTP interface."""

    port: int

    def get(self, path: str) -> Any:
        """The answer to a question, as JSON."""
        return self._ask(path, None)

    def store(self, file: Path) -> str:
        """Sends a DICOM file; returns what became of it: ``Success``, ``AlreadyStored``, or the error."""
        try:
            return str(self._ask("/instances", file.read_bytes())["Status"])
        except urllib.error.HTTPError as error:
            return f"HTTP {error.code}: {error.read().decode(errors='replace')[:200]}"

    def _ask(self, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, headers={"Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())


def plugin_files() -> list[str]:
    """Where the plug-ins lie. Without GDCM, compressed images are not shown.

    Raises:
        FileNotFoundError: one is not installed.
    """
    files = []
    for name in PLUGINS:
        found = [folder / name for folder in PLUGIN_FOLDERS if (folder / name).exists()]
        if not found:
            raise FileNotFoundError(f"Orthanc's plug-in {name} is not installed")
        files.append(str(found[0]))
    return files


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Starts a server that keeps its files in a folder, and ends it.

    It has to run in a network of its own: it asks nobody for a password, and its DICOMweb plug-in listens on all addresses.
    """
    port = _free_port()
    settings = {
        "Name": "monai-pneumonia viewer check",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "OverwriteInstances": True,
        "Plugins": plugin_files(),
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            server = Orthanc(port)
            _wait_for(server, process, folder / "orthanc.log")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + LONGEST_START
    while time.monotonic() < end and process.poll() is None:
        try:
            server.get("/system")
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"Orthanc did not start within {LONGEST_START:.0f} s: {log.read_text(errors='replace')[-500:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
