"""The pods' containers run in Docker as their manifests say: user, read-only root, no network, limits, mounts, command.

That is no cluster, but shows that the restrictions leave the application all that it needs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rendered_manifests import Manifest, Render, pods_of

import monai_pneumonia
from monai_pneumonia.errors import ExitCode

pytestmark = pytest.mark.slow

IMAGE = os.environ.get("MONAI_PNEUMONIA_MAP_IMAGE") or f"monai-pneumonia:{monai_pneumonia.__version__}-cpu"
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@pytest.fixture(scope="module")
def image() -> str:
    """The name of the CPU image that `scripts/map build` made; skips where there is none."""
    if not shutil.which("docker") or subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        pytest.skip(f"no image {IMAGE} in Docker: scripts/map build makes it")
    return IMAGE


@pytest.fixture
def volumes(tmp_path: Path) -> dict[str, Path]:
    """Folders for the volumes; the output belongs to the pod's group alone, as fsGroup makes it."""
    folders = {name: tmp_path / name for name in ("input", "output")}
    for folder in folders.values():
        folder.mkdir()
    if os.geteuid():
        pytest.skip("giving a folder to the pod's group takes root")
    # The folder above, which is pytest's, lets its owner alone in.
    os.chown(folders["output"], 0, 1000)
    folders["output"].chmod(0o2770)
    folders["input"].chmod(0o755)
    return folders


def _bytes(quantity: str) -> str:
    return str(int(Decimal(quantity[:-2]) * UNITS[quantity[-2:]]))


def _docker(pod: Manifest, image: str, volumes: dict[str, Path], **parameters: str) -> subprocess.CompletedProcess[str]:
    """Runs a pod's one container with what its manifest allows it."""
    spec = pod["spec"]
    (container,) = spec["containers"]
    pod_context, context, limits = spec["securityContext"], container["securityContext"], container["resources"]["limits"]
    options = [
        f"--user={context['runAsUser']}:{pod_context['runAsGroup']}",
        f"--group-add={pod_context['fsGroup']}",
        "--network=none",
        *(["--read-only"] if context["readOnlyRootFilesystem"] else []),
        *(f"--cap-drop={name}" for name in context["capabilities"]["drop"]),
        *([] if context["allowPrivilegeEscalation"] else ["--security-opt=no-new-privileges"]),
        f"--cpus={limits['cpu']}",
        f"--memory={_bytes(limits['memory'])}",
        f"--memory-swap={_bytes(limits['memory'])}",
    ]
    kinds = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in container.get("volumeMounts", []):
        name, place = mount["name"], mount["mountPath"]
        if "emptyDir" in kinds[name]:
            options.append(f"--tmpfs={place}:size={_bytes(kinds[name]['emptyDir']['sizeLimit'])},mode=2777,gid={pod_context['fsGroup']}")
        else:
            options.append(f"--volume={volumes[name]}:{place}" + (":ro" if mount.get("readOnly") else ""))
    for variable in container.get("env", []):
        resource = variable.get("valueFrom", {}).get("resourceFieldRef", {}).get("resource", "")
        value = limits[resource.removeprefix("limits.")] if resource else variable["value"]
        options.append(f"--env={variable['name']}={value}")
    command, *rest = [*container["command"], *container.get("args", [])]
    for name, value in parameters.items():
        rest = [word.replace(f"{{{{inputs.parameters.{name.replace('_', '-')}}}}}", value) for word in rest]
    words = ["docker", "run", "--rm", *options, f"--entrypoint={command}", image, *rest]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def _recogniser(manifests: list[Manifest]) -> Manifest:
    pods = [pod for manifest in manifests for pod in pods_of(manifest)]
    (found,) = (pod for pod in pods if "--input" in pod["spec"]["containers"][0].get("args", []))
    return found


def _report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return content


def test_a_job_serves_and_a_rerun_writes_the_same(image: str, volumes: dict[str, Path], render: Render, phantom_dicom_folder: Path) -> None:
    for number, file in enumerate(sorted((phantom_dicom_folder / "images").glob("*.dcm"))[:3]):
        shutil.copyfile(file, volumes["input"] / f"{number}.dcm")
    pod = _recogniser(render("overlays/cpu"))
    done = _docker(pod, image, volumes)
    assert done.returncode == ExitCode.OK, done.stderr[-2000:]
    assert _report(volumes["output"])["counts"]["served"] == 3
    written = {path.relative_to(volumes["output"]): path.read_bytes() for path in volumes["output"].rglob("*") if path.is_file()}
    assert any(path.name.startswith("sr-") for path in written)
    assert _docker(pod, image, volumes).returncode == ExitCode.OK
    assert {path.relative_to(volumes["output"]): path.read_bytes() for path in volumes["output"].rglob("*") if path.is_file()} == written


def test_a_job_ends_with_the_codes_that_its_policy_names(
    image: str, volumes: dict[str, Path], render: Render, phantom_dicom_folder: Path
) -> None:
    pod = _recogniser(render("overlays/cpu"))
    assert _docker(pod, image, volumes).returncode == ExitCode.NOTHING_TO_ANALYSE
    (volumes["input"] / "letter.txt").write_text("no image")
    assert _docker(pod, image, volumes).returncode == ExitCode.BAD_INPUT
    shutil.copyfile(next((phantom_dicom_folder / "images").glob("*.dcm")), volumes["input"] / "image.dcm")
    assert _docker(pod, image, volumes).returncode == ExitCode.PARTLY_SERVED
    # A volume that Kubernetes could not give to the group, as on NFS.
    os.chown(volumes["output"], 0, 0)
    for mode in (0o755, 0o700):
        volumes["output"].chmod(mode)
        assert _docker(pod, image, volumes).returncode == ExitCode.OUTPUT_NOT_WRITABLE, f"{mode:o}"


def test_a_workflow_takes_one_studys_folder_and_ends_with_a_code(
    image: str, volumes: dict[str, Path], render: Render, phantom_dicom_folder: Path
) -> None:
    for study in ("one", "two"):
        (volumes["input"] / study).mkdir()
        shutil.copyfile(next((phantom_dicom_folder / "images").glob("*.dcm")), volumes["input"] / study / "image.dcm")
    manifests = render("argo")
    pod = _recogniser(manifests)
    assert _docker(pod, image, volumes, study="two").returncode == ExitCode.OK
    assert [path.name for path in volumes["output"].iterdir()] == ["two"]
    assert _report(volumes["output"] / "two")["counts"]["served"] == 1
    assert _docker(pod, image, volumes, study="none").returncode == ExitCode.BAD_INPUT
    pods = [other for manifest in manifests for other in pods_of(manifest)]
    (last,) = (other for other in pods if "{{inputs.parameters.exit-code}}" in other["spec"]["containers"][0].get("args", []))
    assert _docker(last, image, volumes, exit_code="4").returncode == ExitCode.BAD_INPUT


def test_the_exchange_pod_has_what_kubectl_cp_needs(image: str, volumes: dict[str, Path], render: Render) -> None:
    (manifest,) = render("exchange")
    (pod,) = pods_of(manifest)
    (container,) = pod["spec"]["containers"]
    assert container["command"][0] == "sleep"
    (volumes["input"] / "image.dcm").write_text("x")
    container["command"] = ["bash", "-c", "command -v sleep tar && tar -cf /var/holoscan/output/all.tar /var/holoscan/input"]
    assert _docker(pod, image, volumes).returncode == 0
    assert (volumes["output"] / "all.tar").stat().st_size > 0
