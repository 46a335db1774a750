"""docs/cluster.md: what it tells to type exists and does what it says, as far as that can be seen without a cluster."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from rendered_manifests import APPLIED, MANIFESTS, Render, pods_of

from monai_pneumonia.errors import ExitCode

GUIDE = MANIFESTS.parents[1] / "docs" / "cluster.md"
COMMANDS = [line for block in re.findall(r"```\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL) for line in block.splitlines()]
KILLED, TERMINATED, CRASHED = 137, 143, 1


def test_everything_that_is_applied_is_told_of_and_everything_told_of_exists() -> None:
    told = {match for line in COMMANDS for match in re.findall(r"-k deploy_app/kubernetes/(\S+)", line)}
    # The GPU overlay is applied as the CPU one is.
    assert told | {"overlays/gpu"} == set(APPLIED)
    table = re.findall(r"^\| (`.*?/`.*?) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for cell in table for name in re.findall(r"`(\S+?)/`", cell)}
    assert named == {*APPLIED, "base"}


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("kubectl")])
def test_kubectl_knows_every_option(line: str) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    # It reads all options before it helps.
    done = subprocess.run([*shlex.split(line), "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_objects_that_commands_name_are_made(render: Render) -> None:
    made = {(manifest["kind"].lower(), manifest["metadata"]["name"]) for folder in APPLIED for manifest in render(folder)}
    named = {match for line in COMMANDS for match in re.findall(r"\b(job|pod|workflowtemplate)[/ ](monai-\S+)", line)}
    assert len({kind for kind, _ in named}) == 3
    assert named <= made
    assert all(
        "--namespace monai-pneumonia" in line or " -k " in line or "--namespace default" in line for line in COMMANDS if "kubectl" in line
    )


def test_the_registry_is_written_into_all_manifests_at_once(tmp_path: Path) -> None:
    (line,) = (line for line in COMMANDS if line.startswith("sed"))
    shutil.copytree(MANIFESTS, tmp_path / "deploy_app" / "kubernetes")
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    written = "".join(path.read_text() for path in tmp_path.rglob("*.yaml"))
    assert "registry.example.org" not in written
    assert written.count("registry.hospital.example/monai-pneumonia") == 4


def test_the_pushed_image_is_the_one_that_the_job_takes(render: Render) -> None:
    (push,) = (line for line in COMMANDS if line.startswith("docker push"))
    (job,) = render("overlays/cpu")
    (pod,) = pods_of(job)
    image = pod["spec"]["containers"][0]["image"]
    assert push.split()[-1] == image.replace("registry.example.org", "registry.hospital.example")


def test_every_exit_code_is_told_with_what_becomes_of_it() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {int(code): rest.split(" | ") for codes, rest in rows for code in codes.split(",")}
    assert told.keys() == {*ExitCode, KILLED, TERMINATED, CRASHED}
    job = yaml.safe_load((MANIFESTS / "base" / "job.yaml").read_text())
    final = set(job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"])
    for code, (_, by_job, by_workflow, *_) in told.items():
        assert by_job.startswith("Failed at once" if code in final else "tried again" if code else "Complete")
        served = code in (ExitCode.OK, ExitCode.PARTLY_SERVED)
        assert by_workflow.startswith("Succeeded" if served else "Failed" if code in final else "tried again")
