"""Overrides that are expressions, such as ``$engines.cpu_has_bfloat16()``: what they come to on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_pneumonia.errors import BadInputError

_PLAIN = (bool, int, float, str, type(None))


def evaluated_overrides(overrides: Mapping[str, Any], config: Path) -> dict[str, Any]:
    """Overrides with their expressions replaced by their values, so that a job's hash and its run tell of the same training.

    As text, an expression would give the results of two machines one name. One that refers to other keys (``@``), or whose
    value is no plain one, stays as it is: the run works it out from what is hashed already.

    Args:
        overrides: of a bundle's configuration.
        config: the configuration, whose imports the expressions use.

    Raises:
        BadInputError: an expression fails.
    """
    expressions = {key: value for key, value in overrides.items() if isinstance(value, str) and value.startswith("$") and "@" not in value}
    if not expressions:
        return dict(overrides)
    # Imported here: most studies have no expression, and a list of trainings should be quick.
    from monai.bundle import ConfigParser

    imports = ConfigParser.load_config_file(config).get("imports", [])
    values = {}
    for key, text in expressions.items():
        try:
            value = ConfigParser({"imports": imports, "value": text}).get_parsed_content("value")
        except Exception as error:
            raise BadInputError(
                f"the study's override `{key}`: {text} fails: {error.__cause__ or error}; mend it or write a value"
            ) from error
        if isinstance(value, _PLAIN):
            values[key] = value
    return {**overrides, **values}
