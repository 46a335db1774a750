"""All manifests: valid for every Kubernetes that is named, locked down, and of one piece."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rendered_manifests import APPLIED, MANIFESTS, Manifest, Render, pods_of

import monai_pneumonia

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="needs what scripts/setup installs into .venv")

VERSIONS = ("1.31", "1.34", kubernetes_validate.latest_version())
UNITS = {"m": Decimal("0.001"), "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "": 1}


def _quantity(text: str) -> Decimal:
    unit = next(unit for unit in UNITS if text.endswith(unit))
    return Decimal(text.removesuffix(unit)) * UNITS[unit]


def _validate(manifest: Manifest, version: str) -> None:
    """Against the strict schema: a key that Kubernetes does not know is an error."""
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_valid_for_kubernetes(render: Render, folder: str, version: str) -> None:
    for manifest in render(folder):
        if manifest["kind"] != "WorkflowTemplate":
            _validate(manifest, version)
        for pod in pods_of(manifest):
            _validate({"apiVersion": "v1", "kind": "Pod", **pod}, version)


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ((), "podFailurePolicies", {}),
        (("template", "spec", "containers", 0), "imagePullPolicie", "Always"),
        (("template", "spec", "containers", 0, "securityContext"), "readOnlyRootFileSystem", True),
        (("template", "spec", "containers", 0, "resources", "limits"), "memory", ["4Gi"]),
        (("podFailurePolicy", "rules", 0, "onExitCodes"), "values", ["5"]),
    ],
)
def test_a_mistake_would_be_seen(render: Render, place: tuple[Any, ...], key: str, value: object) -> None:
    (job,) = render("overlays/cpu")
    part = job["spec"]
    for step in place:
        part = part[step]
    part[key] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        _validate(job, VERSIONS[0])


def test_every_container_is_locked_down(render: Render, folder: str) -> None:
    for manifest in render(folder):
        for pod in pods_of(manifest):
            context = pod["spec"]["securityContext"]
            assert context == {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            for container in pod["spec"]["containers"]:
                assert container["securityContext"] == {
                    "runAsNonRoot": True,
                    "runAsUser": 1000,
                    "privileged": False,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                }


def test_no_pod_holds_a_token_or_a_piece_of_its_node(render: Render, folder: str) -> None:
    for manifest in render(folder):
        for pod in pods_of(manifest):
            spec = pod["spec"]
            assert spec["automountServiceAccountToken"] is False
            assert spec["serviceAccountName"] == "monai-pneumonia"
            assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & spec.keys()
            assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} <= {"persistentVolumeClaim", "emptyDir"}
            assert not any("hostPort" in port for container in spec["containers"] for port in container.get("ports", []))


def test_mounts_are_there_and_claims_are_made(render: Render, folder: str) -> None:
    claims = {manifest["metadata"]["name"] for manifest in render("namespace") if manifest["kind"] == "PersistentVolumeClaim"}
    for manifest in render(folder):
        for pod in pods_of(manifest):
            volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
            assert {
                volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume
            } <= claims
            for container in pod["spec"]["containers"]:
                assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes.keys()


def test_whoever_runs_the_recogniser_mounts_the_input_to_read_and_leaves_room_for_scratch(render: Render) -> None:
    for folder in ("overlays/cpu", "overlays/gpu", "argo"):
        recognisers = [
            container
            for manifest in render(folder)
            for pod in pods_of(manifest)
            for container in pod["spec"]["containers"]
            if "--input" in container.get("args", [])
        ]
        assert len(recognisers) == 1
        mounts = {mount["mountPath"]: mount for mount in recognisers[0]["volumeMounts"]}
        assert mounts["/var/holoscan/input"]["readOnly"] is True
        assert "readOnly" not in mounts["/var/holoscan/output"]
        assert mounts["/tmp"]["name"] == "scratch"


def test_resources_are_asked_for_and_bounded(render: Render, folder: str) -> None:
    for manifest in render(folder):
        for pod in pods_of(manifest):
            for container in pod["spec"]["containers"]:
                requests, limits = container["resources"]["requests"], container["resources"]["limits"]
                assert {"cpu", "memory", "ephemeral-storage"} <= requests.keys() <= limits.keys()
                for name, asked in requests.items():
                    assert 0 < _quantity(asked) <= _quantity(limits[name]), f"{container['name']}: {name}"


def test_images_are_named_by_registry_and_version(render: Render, folder: str) -> None:
    for manifest in render(folder):
        for pod in pods_of(manifest):
            for container in pod["spec"]["containers"]:
                name, _, tag = container["image"].rpartition(":")
                assert name == "registry.example.org/monai-pneumonia"
                assert tag == f"{monai_pneumonia.__version__}-{'cuda' if folder == 'overlays/gpu' else 'cpu'}"
                assert container["imagePullPolicy"] == "IfNotPresent"


def test_objects_share_namespace_and_labels(render: Render, folder: str) -> None:
    for manifest in render(folder):
        metadata = manifest["metadata"]
        if manifest["kind"] == "Namespace":
            assert metadata["name"] == "monai-pneumonia"
            assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        else:
            assert metadata["namespace"] == "monai-pneumonia"
        labelled = [metadata, *(pod["metadata"] for pod in pods_of(manifest))]
        for labels in (thing["labels"] for thing in labelled):
            assert labels["app.kubernetes.io/name"] == labels["app.kubernetes.io/part-of"] == "monai-pneumonia"
            assert labels.get("app.kubernetes.io/version", monai_pneumonia.__version__) == monai_pneumonia.__version__
        for pod in pods_of(manifest):
            assert pod["metadata"]["labels"]["app.kubernetes.io/component"] in {"recogniser", "exchange", "workflow"}


def test_no_network_but_for_argos_own_container(render: Render) -> None:
    (closed,) = (manifest for manifest in render("namespace") if manifest["kind"] == "NetworkPolicy")
    # An empty selector is every pod; a direction without a rule lets nothing through.
    assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    policies = {folder: [manifest for manifest in render(folder) if manifest["kind"] == "NetworkPolicy"] for folder in APPLIED}
    assert [folder for folder, found in policies.items() if found] == ["namespace", "argo"]
    (opened,) = policies["argo"]
    assert opened["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/component": "workflow"}}
    assert opened["spec"]["policyTypes"] == ["Egress"]
    (rule,) = opened["spec"]["egress"]
    # The address that docs/cluster.md tells to replace, and which no machine has (RFC 5737).
    assert rule["to"] == [{"ipBlock": {"cidr": "192.0.2.1/32"}}]
    assert {(port["protocol"], port["port"]) for port in rule["ports"]} == {("TCP", 443), ("TCP", 6443)}


def test_deleting_a_run_deletes_no_results(render: Render) -> None:
    lasting = {"Namespace", "PersistentVolumeClaim", "ServiceAccount"}
    for folder in ("overlays/cpu", "overlays/gpu", "exchange"):
        assert not lasting & {manifest["kind"] for manifest in render(folder)}
    assert lasting <= {manifest["kind"] for manifest in render("namespace")}


def test_every_file_is_used() -> None:
    used = set()
    for path in MANIFESTS.rglob("kustomization.yaml"):
        text = path.read_text()
        used |= {path, *(other for other in path.parent.iterdir() if f"- {other.name}\n" in text or f"- path: {other.name}\n" in text)}
    assert set(MANIFESTS.rglob("*.yaml")) == used
