"""What bundle/docs/README.md says is so: its commands, keys, defaults and exit codes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from bundle_runs import BUNDLE
from monai.bundle import ConfigParser

from monai_pneumonia.data.labels import DEFAULT_CLASSES
from monai_pneumonia.engines.preflight import check_overrides
from monai_pneumonia.errors import ExitCode
from monai_pneumonia.losses import LOSS_NAMES
from monai_pneumonia.networks import backbone_names

README = (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^\| key of `(\w+)\.yaml`", README, flags=re.MULTILINE)
"""The configurations that have a table of keys."""


def _commands() -> list[list[str]]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    text = "".join(content for language, content in blocks if not language)
    return [shlex.split(line) for line in text.replace("\\\n", " ").splitlines()]


def _table_of_keys(name: str) -> dict[str, str]:
    """Key to stated default."""
    table = README.split(f"| key of `{name}.yaml`")[1].split("\n\n")[0]
    stated: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", table, flags=re.MULTILINE):
        keys = re.findall(r"`([^`]+)`", names)
        stated.update(zip(keys, re.sub("`", "", defaults).split(", "), strict=True))
    return stated


def _configuration(name: str) -> ConfigParser:
    return ConfigParser(ConfigParser.load_config_file(BUNDLE / "configs" / f"{name}.yaml"))


def test_every_run_names_configurations_and_keys_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BUNDLE)
    runs = [command for command in _commands() if "run" in command]
    named: set[str] = set()
    for command in runs:
        check_overrides(command)
        named.update(re.findall(r"configs/\w+\.yaml", " ".join(command)))
    assert named == {path.as_posix() for path in Path("configs").glob("*.yaml")}


def test_tables_are_found() -> None:
    assert {"train", "probe"} <= set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_every_setting_is_in_the_table(name: str) -> None:
    configuration, keys = _configuration(name), set(_table_of_keys(name))
    assert [key for key in keys if key not in configuration] == []
    assert set(configuration["settings"]) - {key.split("#")[0] for key in keys} == set()


@pytest.mark.parametrize("name", TABLES)
def test_defaults_are_those_of_the_configuration(name: str) -> None:
    configuration = _configuration(name)
    differing: dict[str, Any] = {}
    for key, stated in _table_of_keys(name).items():
        value = configuration[key]
        computed = isinstance(value, str) and value.startswith("$")
        if not computed and value != yaml.safe_load(stated):
            differing[key] = (stated, value)
    assert differing == {}


def test_choices_classes_and_exit_codes_are_all_told() -> None:
    for name in (*backbone_names(), *LOSS_NAMES, *DEFAULT_CLASSES):
        assert f"`{name}`" in README
    table = README.split("## Exit codes")[1]
    assert {int(code) for code in re.findall(r"^\| (\d) \|", table, flags=re.MULTILINE)} == {int(code) for code in ExitCode}
    assert README.count("Research use only") >= 2
