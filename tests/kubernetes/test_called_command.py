"""What the manifests call is the application, at the places where its image has it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import typer
from rendered_manifests import MANIFESTS, Manifest, Render, pods_of

DEPLOY_APP = MANIFESTS.parent


@pytest.fixture(scope="module")
def image() -> dict[str, Any]:
    """app.json of the image, with its model folder."""
    package = runpy.run_path(str(DEPLOY_APP / "container" / "manifests.py"))
    manifest: dict[str, Any] = package["app_manifest"]("0", "0")
    return manifest


@pytest.fixture(params=["overlays/cpu", "overlays/gpu", "argo"])
def recogniser(request: pytest.FixtureRequest, render: Render) -> Manifest:
    """The container that runs the application."""
    containers = [one for manifest in render(request.param) for pod in pods_of(manifest) for one in pod["spec"]["containers"]]
    (found,) = (one for one in containers if "--input" in one.get("args", []))
    return found


def test_the_command_is_the_images_own(recogniser: Manifest, image: dict[str, Any]) -> None:
    assert recogniser["command"] == json.loads(image["command"])


def test_the_application_takes_the_arguments(recogniser: Manifest, image: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEPLOY_APP.parent))
    from deploy_app.command import app

    command = typer.main.get_command(app)
    context = command.make_context("deploy_app", [*recogniser["args"]])
    given = {name: value for name, value in context.params.items() if value is not None}
    working = Path(image["workingDirectory"])
    assert given["model"] == Path(image["environment"]["HOLOSCAN_MODEL_PATH"])
    for name, option in (("input", "source"), ("output", "output")):
        mounted = working / image[name]["path"]
        assert given[option].is_relative_to(mounted)
        assert str(mounted) in {mount["mountPath"] for mount in recogniser["volumeMounts"]}


def test_a_wrong_argument_would_be_refused(recogniser: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEPLOY_APP.parent))
    from deploy_app.command import app

    arguments = [word.replace("--model", "--modle") for word in recogniser["args"]]
    # Typer may bring a copy of click of its own.
    with pytest.raises(Exception, match=r"[Nn]o such option.*--modle"):
        typer.main.get_command(app).make_context("deploy_app", arguments)
