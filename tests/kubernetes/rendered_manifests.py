"""Puts the manifests of deploy_app/kubernetes together as kubectl apply -k would, and finds their pods and containers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

MANIFESTS = Path(__file__).parents[2] / "deploy_app" / "kubernetes"
APPLIED = ("namespace", "overlays/cpu", "overlays/gpu", "exchange", "argo")
"""What docs/cluster.md tells to apply."""

Manifest = dict[str, Any]
Render = Callable[[str], list[Manifest]]


def _kustomize() -> list[str]:
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    pytest.skip("neither kubectl nor kustomize is installed: the manifests cannot be put together")


@cache
def rendered(folder: str) -> str:
    """The text that kubectl apply -k FOLDER would send."""
    done = subprocess.run([*_kustomize(), str(MANIFESTS / folder)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    # It warns of fields that a later version drops.
    assert done.stderr == ""
    return done.stdout


def pods_of(manifest: Manifest) -> Iterator[Manifest]:
    """The pods that an object makes, each as {metadata, spec}; a workflow's with the one container and what all its pods share."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "Pod":
        yield {"metadata": manifest["metadata"], "spec": spec}
    elif manifest["kind"] == "Job":
        yield spec["template"]
    elif manifest["kind"] == "WorkflowTemplate":
        shared = ("securityContext", "volumes", "nodeSelector", "serviceAccountName", "automountServiceAccountToken")
        for template in spec["templates"]:
            if "container" in template:
                containers = [{"name": "main", **template["container"]}]
                yield {"metadata": spec["podMetadata"], "spec": {**{key: spec[key] for key in shared}, "containers": containers}}
