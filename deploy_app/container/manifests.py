"""Writes the two manifests of a MONAI Application Package, app.json and pkg.json.

python manifests.py FOLDER MODEL-NAME FLAVOUR
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import yaml

APPLICATION = "/opt/holoscan/app"
COMMAND = ["/opt/venv/bin/python", f"{APPLICATION}/deploy_app"]
MODELS = "/opt/holoscan/models"
TIMEOUT_SECONDS = 0
CUDA_MEMORY = "2Gi"


def app_manifest(version: str, sdk_version: str) -> dict[str, object]:
    """How to run the application and what it reads and writes."""
    return {
        "apiVersion": "1.0.0",
        "command": json.dumps(COMMAND),
        "environment": {
            "HOLOSCAN_APPLICATION": APPLICATION,
            "HOLOSCAN_INPUT_PATH": "input",
            "HOLOSCAN_OUTPUT_PATH": "output",
            "HOLOSCAN_WORKDIR": "/var/holoscan",
            "HOLOSCAN_MODEL_PATH": MODELS,
            "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
            "HOLOSCAN_APP_MANIFEST_PATH": "/etc/holoscan/app.json",
            "HOLOSCAN_PKG_MANIFEST_PATH": "/etc/holoscan/pkg.json",
            "HOLOSCAN_DOCS_PATH": "/opt/holoscan/docs",
            "HOLOSCAN_LOGS_PATH": "/var/holoscan/logs",
        },
        "input": {"path": "input", "formats": ["DICOM"]},
        "output": {"path": "output", "formats": ["DICOM", "JSON"]},
        "liveness": None,
        "readiness": None,
        "sdk": "monai-deploy",
        "sdkVersion": sdk_version,
        "timeout": TIMEOUT_SECONDS,
        "version": version,
        "workingDirectory": "/var/holoscan",
    }


def package_manifest(version: str, model: str, flavour: str, resources: dict[str, object]) -> dict[str, object]:
    """What the package holds and what it needs of the machine."""
    return {
        "apiVersion": "1.0.0",
        "applicationRoot": APPLICATION,
        "modelRoot": MODELS,
        "models": {model: f"{MODELS}/{model}"},
        "resources": {**resources, **({"gpu": 1, "gpuMemory": CUDA_MEMORY} if flavour == "cuda" else {})},
        "version": version,
        "platformConfig": "dgpu" if flavour == "cuda" else "cpu",
    }


def main() -> None:
    """Reads the versions from what is installed."""
    folder, model, flavour = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    version = metadata.version("monai-pneumonia")
    resources = yaml.safe_load((Path(APPLICATION) / "deploy_app" / "app.yaml").read_text())["resources"]
    manifests = {
        "app.json": app_manifest(version, metadata.version("monai-deploy-app-sdk")),
        "pkg.json": package_manifest(version, model, flavour, resources),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in manifests.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
