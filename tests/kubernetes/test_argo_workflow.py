"""The Argo WorkflowTemplate: as Argo's own model has it; what it does after each exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rendered_manifests import Manifest, Render

from monai_pneumonia.errors import ExitCode

models = pytest.importorskip("hera.workflows.models", reason="needs what scripts/setup installs into .venv")

NO_EXIT_CODE = -1
"""What Argo gives the expression of a retry as exit code of a pod that was deleted or never started."""


@pytest.fixture
def workflow(render: Render) -> Manifest:
    (found,) = (manifest for manifest in render("argo") if manifest["kind"] == "WorkflowTemplate")
    return found


@pytest.fixture
def templates(workflow: Manifest) -> dict[str, dict[str, Any]]:
    return {template["name"]: template for template in workflow["spec"]["templates"]}


def _as_argo_reads_it(workflow: Manifest) -> Any:
    read = models.WorkflowTemplate.model_validate(workflow)
    return json.loads(read.model_dump_json(by_alias=True, exclude_none=True))


def test_every_key_is_one_of_argos(workflow: Manifest) -> None:
    # The model drops what it does not know: what comes back must be what went in.
    assert _as_argo_reads_it(workflow) == workflow


@pytest.mark.parametrize("place", [("spec",), ("spec", "templates", 1, "retryStrategy"), ("spec", "templates", 1, "container")])
def test_a_mistake_would_be_seen(workflow: Manifest, place: tuple[Any, ...]) -> None:
    part = workflow
    for step in place:
        part = part[step]
    part["misspelt"] = "3"
    assert _as_argo_reads_it(workflow) != workflow


def _tried_again(templates: dict[str, dict[str, Any]], exit_code: int) -> bool:
    strategy = templates["recognise"]["retryStrategy"]
    assert strategy["retryPolicy"] == "Always"
    # What the expression uses of Argo's language means the same in Python.
    last = SimpleNamespace(exitCode=str(exit_code))
    return bool(eval(strategy["expression"], {"__builtins__": {}}, {"asInt": int, "lastRetry": last}))


def _filled_in(text: str, exit_code: int | None) -> str:
    """What Argo makes of the expressions in a text after a first step with this exit code, or without one."""
    pattern = r"\{\{=steps\.recognise\.exitCode \?\? '(-?\d+)'\}\}"
    filled = re.sub(pattern, lambda match: match[1] if exit_code is None else str(exit_code), text)
    # A plain variable would stay as it is where there is no exit code, which no condition can be read with.
    assert "{{" not in filled
    return filled


def _fails(templates: dict[str, dict[str, Any]], exit_code: int | None) -> bool:
    """Whether the workflow ends as failed when its recogniser ends so."""
    (first,), (second,) = templates["recognise-study"]["steps"]
    assert first["continueOn"] == {"failed": True, "error": True}
    condition = _filled_in(second["when"], exit_code).replace("&&", "and")
    return bool(eval(condition, {"__builtins__": {}}))


def test_it_tries_again_what_the_job_tries_again(templates: dict[str, dict[str, Any]], render: Render) -> None:
    (job,) = render("overlays/cpu")
    final = job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"]
    assert {code for code in range(1, 256) if not _tried_again(templates, code)} == set(final)
    assert _tried_again(templates, ExitCode.OUTPUT_NOT_WRITABLE)
    assert _tried_again(templates, NO_EXIT_CODE)
    assert int(templates["recognise"]["retryStrategy"]["limit"]) == job["spec"]["backoffLimit"]


def test_partly_served_is_no_failure_and_all_else_is(templates: dict[str, dict[str, Any]]) -> None:
    assert {code for code in range(256) if not _fails(templates, code)} == {ExitCode.OK, ExitCode.PARTLY_SERVED}
    assert _fails(templates, None)


def test_a_failed_workflow_ends_with_the_exit_code_that_it_got(templates: dict[str, dict[str, Any]]) -> None:
    (first,), (second,) = templates["recognise-study"]["steps"]
    assert second["template"] == "end-with-exit-code"
    (parameter,) = second["arguments"]["parameters"]
    assert parameter["name"] == "exit-code"
    container = templates["end-with-exit-code"]["container"]
    assert container["args"] == ["{{inputs.parameters.exit-code}}"]
    program = container["command"][-1]
    for code in (ExitCode.BAD_INPUT, ExitCode.MODEL_FAULT, None):
        given = _filled_in(parameter["value"], code)
        ended = subprocess.run([sys.executable, "-c", program, given], check=False)
        assert ended.returncode == (255 if code is None else code)
    assert templates["recognise-study"]["outputs"]["parameters"] == [
        {"name": "exit-code", "valueFrom": {"parameter": "{{steps.recognise.exitCode}}"}}
    ]
    assert first["name"] == first["template"] == "recognise"


def test_parameters_are_handed_down(workflow: Manifest, templates: dict[str, dict[str, Any]]) -> None:
    assert workflow["spec"]["entrypoint"] == "recognise-study"
    assert [parameter["name"] for parameter in workflow["spec"]["arguments"]["parameters"]] == ["study"]
    for step in (step for group in templates["recognise-study"]["steps"] for step in group):
        wanted = {parameter["name"] for parameter in templates[step["template"]]["inputs"]["parameters"]}
        assert {parameter["name"] for parameter in step["arguments"]["parameters"]} == wanted
    # No shell reads the study's name, and it cannot be taken for an option.
    assert templates["recognise"]["container"]["args"] == [
        "--input",
        "/var/holoscan/input/{{inputs.parameters.study}}",
        "--output",
        "/var/holoscan/output/{{inputs.parameters.study}}",
        "--model",
        "/opt/holoscan/models",
    ]
    # Two runs of one study do not write to its folder at the same time.
    assert "{{inputs.parameters.study}}" in templates["recognise"]["synchronization"]["mutexes"][0]["name"]


def test_only_argos_own_container_holds_a_token(workflow: Manifest, render: Render) -> None:
    spec = workflow["spec"]
    assert spec["automountServiceAccountToken"] is False
    account = spec["executor"]["serviceAccountName"]
    assert account != spec["serviceAccountName"]
    objects = {manifest["kind"]: manifest for manifest in render("argo")}
    assert objects["ServiceAccount"]["metadata"]["name"] == account
    assert objects["ServiceAccount"]["automountServiceAccountToken"] is False
    secret = objects["Secret"]
    assert secret["metadata"]["name"] == f"{account}.service-account-token"
    assert secret["metadata"]["annotations"]["kubernetes.io/service-account.name"] == account
    assert "data" not in secret
    assert objects["RoleBinding"]["roleRef"]["name"] == objects["Role"]["metadata"]["name"]
    assert objects["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "monai-pneumonia"}]
    assert objects["Role"]["rules"] == [{"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}]


def test_resources_and_threads_are_the_jobs(templates: dict[str, dict[str, Any]], render: Render) -> None:
    (job,) = render("overlays/cpu")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    ours = templates["recognise"]["container"]
    assert ours["resources"] == container["resources"]
    assert ours["securityContext"] == container["securityContext"]
    threads = next(variable for variable in ours["env"] if variable["name"] == "OMP_NUM_THREADS")
    assert threads["value"] == container["resources"]["limits"]["cpu"]
