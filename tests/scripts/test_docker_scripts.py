"""The scripts that need docker, where it fails: stand-ins for docker, dockerd and debootstrap come first on PATH."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS_ID = "echo 0"

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the container is built on Linux on x86-64 alone"
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with what the scripts read, and no environment."""
    shutil.copytree(ROOT / "scripts", tmp_path / "checkout" / "scripts")
    for file in ("monai_pneumonia/__init__.py", *(f"deploy_app/container/requirements{part}.txt" for part in ("", "-cpu", "-build"))):
        (tmp_path / "checkout" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, tmp_path / "checkout" / file)
    weights = tmp_path / "checkout" / "bundle" / "models" / "model.pt"
    weights.parent.mkdir(parents=True)
    weights.touch()
    return tmp_path / "checkout"


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Run:
    """A function that runs a line of bash in the checkout, with stand-ins for commands: name -> what it does, as a line of sh."""

    def start(line: str, **stand_ins: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / "commands"
        folder.mkdir()
        for name, content in stand_ins.items():
            (folder / name).write_text(f"#!/bin/sh\n{content}\n")
            (folder / name).chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name != "MONAI_PNEUMONIA_PYTHON"}
        environment |= {"PATH": f"{folder}{os.pathsep}{environment['PATH']}", "TMPDIR": str(tmp_path)}
        # No package index: nothing can be fetched.
        environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "nothing")}
        return subprocess.run(["bash", "-c", line], cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return start


NO_DAEMON = {"id": ROOTS_ID, "docker": "exit 1", "dockerd": "echo no overlay; exit 1"}


@pytest.mark.parametrize("command", ["scripts/test --map", "scripts/map build", "scripts/benchmark"])
def test_a_daemon_that_does_not_start_is_an_error_where_it_is_needed(run: Run, command: str) -> None:
    ended = run(f"bash {command}", **NO_DAEMON)
    assert ended.returncode == 2
    assert "error: the docker daemon did not start within 1 s; its log is " in ended.stderr
    assert "no overlay" in ended.stderr


def test_a_daemon_that_does_not_start_is_a_note_among_all_tests(run: Run, checkout: Path) -> None:
    script = checkout / "scripts" / "test"
    functions = script.read_text().partition('\ncase "$mode" in')[0]
    script.write_text(f"{functions}\nhospital_container\n")
    ended = run("bash scripts/test", **NO_DAEMON)
    assert ended.returncode == 0, ended.stderr
    assert "note: hospital container left out: the docker daemon did not start within 1 s; its log is " in ended.stdout


# Python stands in for pip, which fetches nothing: the wheel is there.
BUILDING = {"python3": "exit 0", "docker": 'case "$1" in build) ls build/map/wheels >&2; exit 1 ;; buildx) exit 1 ;; esac'}


def test_no_wheels_stay_where_docker_alone_would_take_them(run: Run, checkout: Path) -> None:
    wheel = checkout / "build" / "map" / "wheels-cpu" / "torch-1.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    ended = run("bash scripts/map build", **BUILDING)
    assert ended.returncode == 1
    assert "torch-1.whl" in ended.stderr
    assert [path.name for path in wheel.parent.parent.iterdir()] == ["wheels-cpu"]
    assert wheel.is_file()


def test_a_base_image_out_of_reach_is_told_before_anything_is_fetched(run: Run) -> None:
    ended = run("bash scripts/map build", python3="touch fetched", docker='case "$1" in info) exit 0 ;; *) exit 1 ;; esac')
    assert ended.returncode == 2
    assert "error: the base image python:3.11-slim-bookworm cannot be had" in ended.stderr
    assert "--debootstrap" in ended.stderr


def test_the_revision_says_where_files_are_not_those_of_its_commit(run: Run, checkout: Path) -> None:
    told = "source scripts/lib/environment.sh; source scripts/lib/docker.sh; source_revision"
    git = "git -c user.name=x -c user.email=x@example.org -c init.defaultBranch=main"
    # A repository around the checkout, as of a folder of downloads, is not the checkout's own.
    lines = [f"(cd .. && {git} init -q && {git} commit -q --allow-empty -m outer)", told]
    lines += [f"{git} init -q && {git} add . && {git} commit -qm x", told, "git rev-parse HEAD", "touch monai_pneumonia/new.py", told]
    ended = run(f"set -e; {'; '.join(lines)}")
    outside, clean, commit, dirty = ended.stdout.split()
    assert outside == "unknown"
    assert clean == commit
    assert dirty == f"{commit}-dirty"


def test_no_base_image_is_made_on_when_the_packages_cannot_be_fetched(run: Run, tmp_path: Path) -> None:
    # It says where it works, waits, and would say that it came to its end.
    bootstrap = 'mkdir -p "$4"; echo "$4" > "$TMPDIR/place"; sleep 20; touch "$TMPDIR/finished"'
    python = 'case "$*" in *map_wheels*) while ! [ -e "$TMPDIR/place" ]; do sleep 0.1; done; echo "error: no index" >&2; exit 1 ;; esac'
    docker = 'case "$1" in image) exit 1 ;; esac'
    started = time.monotonic()
    ended = run("bash scripts/map build --debootstrap", id=ROOTS_ID, docker=docker, debootstrap=bootstrap, python3=python)
    assert ended.returncode == 1
    assert "error: no index" in ended.stderr
    assert time.monotonic() - started < 10
    assert not Path((tmp_path / "place").read_text().strip()).parent.exists()
    assert not (tmp_path / "finished").exists()
