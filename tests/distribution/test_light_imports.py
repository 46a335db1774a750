"""What starts quickly stays quick, and what serves predictions runs without ignite."""

from __future__ import annotations

import ast
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from monai_pneumonia.cli import app

PACKAGE = Path(__file__).parents[2] / "monai_pneumonia"
LIGHT = ("radiograph", "data", "transforms", "networks", "losses", "metrics", "inference", "dicom")
HEAVY = ("torch", "monai", "ignite", "matplotlib", "pandas", "sklearn", "itk", "mlflow", "tensorboard")
MOST_HELP_SECONDS = 3.0


def command_lines() -> list[list[str]]:
    """The command itself and each sub-command, down to the last level."""

    def below(command: object, path: list[str]) -> Iterator[list[str]]:
        yield path
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, [*path, name])

    return list(below(get_command(app), []))


@pytest.fixture(scope="module")
def help_runs() -> dict[str, dict[str, object]]:
    """Asks for the help of each command in one process, the top first; says which heavy modules were imported by then."""
    program = """
import contextlib, io, json, sys
from monai_pneumonia.cli import main
lines, heavy = json.loads(sys.argv[1]), json.loads(sys.argv[2])
runs = {}
for line in lines:
    sys.argv = ["monai-pneumonia", *line, "--help"]
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main()
    runs[" ".join(line)] = {"text": text.getvalue(), "imported": [name for name in heavy if name in sys.modules]}
print(json.dumps(runs))
"""
    arguments = [json.dumps(command_lines()), json.dumps(HEAVY)]
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, check=True)
    return dict(json.loads(run.stdout.splitlines()[-1]))


def test_help_imports_nothing_heavy(help_runs: dict[str, dict[str, object]]) -> None:
    assert {"", "predict", "evaluate", "validate", "phantoms"} <= set(help_runs)
    assert all("Usage:" in str(run["text"]) for run in help_runs.values())
    assert {line: run["imported"] for line, run in help_runs.items() if run["imported"]} == {}


def test_help_takes_little_work() -> None:
    """Processor time, which a busy machine does not stretch."""
    before = children_seconds()
    subprocess.run([sys.executable, "-m", "monai_pneumonia", "--help"], capture_output=True, timeout=120, check=True)
    assert children_seconds() - before < MOST_HELP_SECONDS


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def imported_modules(path: Path) -> set[str]:
    """Full names of what a file imports at any depth; of ``from a import b`` both ``a`` and ``a.b``, for b may be a module."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def is_below(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def test_imports_are_read_in_every_form(tmp_path: Path) -> None:
    source = tmp_path / "sample.py"
    source.write_text("import a.b as c\nfrom d import e\ndef f():\n    from g.h import i\n", encoding="utf-8")
    assert imported_modules(source) == {"a.b", "d", "d.e", "g.h", "g.h.i"}


@pytest.mark.parametrize("part", LIGHT)
def test_light_parts_import_no_engines_or_handlers_of_monai(part: str) -> None:
    """import-linter holds this for ignite; of monai it sees the whole alone, not its parts."""
    forbidden = ("monai.engines", "monai.handlers", "ignite")
    found = {
        (path.name, name)
        for path in (PACKAGE / part).rglob("*.py")
        for name in imported_modules(path)
        if any(is_below(name, module) for module in forbidden)
    }
    assert found == set()


def test_no_part_imports_monai_deploy() -> None:
    assert [path.name for path in PACKAGE.rglob("*.py") if any(is_below(name, "monai.deploy") for name in imported_modules(path))] == []


def test_light_parts_import_where_ignite_is_not_installed() -> None:
    """The hospital container leaves ignite out. `import monai` brings it where it is installed, so only hiding it proves anything."""
    program = """
import importlib, pkgutil, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ignite":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
for part in sys.argv[1:]:
    package = importlib.import_module(f"monai_pneumonia.{part}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        print(importlib.import_module(module.name).__name__)
assert "ignite" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", program, *LIGHT], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    files = {path for part in LIGHT for path in (PACKAGE / part).rglob("*.py") if path.name != "__init__.py"}
    assert {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files} <= set(run.stdout.split())
