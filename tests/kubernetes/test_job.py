"""The Job: which ends of a run are tried again, and what a GPU adds."""

from __future__ import annotations

import pytest
from rendered_manifests import Manifest, Render

from monai_pneumonia.errors import ExitCode

KILLED, TERMINATED, CRASHED = 137, 143, 1


def _action(job: Manifest, exit_code: int, disrupted: bool) -> str:
    """What Kubernetes does about a failed pod: the first rule that fits; without one the failure counts towards backoffLimit."""
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule:
            wanted = rule["onExitCodes"]
            assert wanted["operator"] == "In"
            fits = exit_code in wanted["values"]
        else:
            fits = disrupted and {"type": "DisruptionTarget", "status": "True"} in rule["onPodConditions"]
        if fits:
            return str(rule["action"])
    return "Count"


@pytest.fixture(params=["overlays/cpu", "overlays/gpu"])
def job(request: pytest.FixtureRequest, render: Render) -> Manifest:
    (found,) = render(request.param)
    assert found["kind"] == "Job"
    return found


def test_what_ends_the_same_way_again_is_not_tried_again(job: Manifest) -> None:
    tried_again = {code for code in ExitCode if code and _action(job, code, disrupted=False) != "FailJob"}
    assert tried_again == {ExitCode.OUTPUT_NOT_WRITABLE}
    # An end that is decided stays so, even where the node was drained at that moment.
    assert _action(job, ExitCode.PARTLY_SERVED, disrupted=True) == "FailJob"


@pytest.mark.parametrize("exit_code", [KILLED, TERMINATED])
def test_a_disruption_counts_for_nothing_and_a_crash_counts(job: Manifest, exit_code: int) -> None:
    assert _action(job, exit_code, disrupted=True) == "Ignore"
    assert _action(job, exit_code, disrupted=False) == "Count"
    assert _action(job, CRASHED, disrupted=False) == "Count"


def test_rules_name_the_container_and_fit_the_job(job: Manifest) -> None:
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    for rule in spec["podFailurePolicy"]["rules"]:
        assert rule.get("onExitCodes", {"containerName": container["name"]})["containerName"] == container["name"]
    # Kubernetes takes the policy only with these.
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["completions"] == spec["parallelism"] == 1
    assert 1 <= spec["backoffLimit"] <= 3
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["ttlSecondsAfterFinished"] >= 3600


def test_threads_follow_the_limit(job: Manifest) -> None:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    threads = next(variable for variable in container["env"] if variable["name"] == "OMP_NUM_THREADS")
    assert threads["valueFrom"] == {"resourceFieldRef": {"containerName": container["name"], "resource": "limits.cpu"}}


def test_the_gpu_overlay_adds_a_gpu_and_nothing_else(render: Render) -> None:
    (cpu,), (gpu,) = render("overlays/cpu"), render("overlays/gpu")
    pod = gpu["spec"]["template"]["spec"]
    assert pod.pop("runtimeClassName") == "nvidia"
    assert pod.pop("tolerations") == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["nodeSelector"].pop("nvidia.com/gpu.present") == "true"
    (container,) = pod["containers"]
    assert container["resources"]["requests"].pop("nvidia.com/gpu") == container["resources"]["limits"].pop("nvidia.com/gpu") == "1"
    (plain,) = cpu["spec"]["template"]["spec"]["containers"]
    assert container.pop("image").removesuffix("-cuda") == plain.pop("image").removesuffix("-cpu")
    assert gpu == cpu
