"""Our own manifests as `kubectl get -o yaml` prints them from a cluster: the reading is the same."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mesh.manifests import Resources, Spec, read
from mesh.manifests.document import Metadata
from mesh.manifests.kubernetes import ServiceSpec, service_of
from mesh.manifests.texts import dump_text, parse_text
from tests.manifests.sources import BASE, ISTIO, NAMESPACE, texts

FILES = texts(BASE, ISTIO)


def as_printed(document: dict[str, Any]) -> dict[str, Any]:
    """The document as a server has stored it: with its own fields, and with its defaults where it has said nothing."""
    found = copy.deepcopy(document)
    note = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(document)}
    metadata = {
        **found["metadata"],
        "annotations": {**found["metadata"].get("annotations", {}), **note},
        "creationTimestamp": None,
        "generation": 1,
        "managedFields": [{"apiVersion": found["apiVersion"], "manager": "kubectl-client-side-apply"}],
        "resourceVersion": "1042",
        "selfLink": f"/apis/{found['apiVersion']}/{found['kind']}",
        "uid": "00000000-0000-4000-8000-000000000000",
    }
    found |= {"metadata": metadata, "status": {"observedGeneration": 1}}
    match found["kind"]:
        case "Deployment":
            _add_workload_defaults(found["spec"])
        case "Service":
            defaults = {
                "clusterIP": "10.96.0.10",
                "clusterIPs": ["10.96.0.10"],
                "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "sessionAffinity": "None",
                "type": "ClusterIP",
            }
            found["spec"] = {**defaults, **found["spec"]}
            found["spec"]["ports"] = [{"protocol": "TCP", **port} for port in found["spec"]["ports"]]
        case "Namespace":
            found["spec"] = {"finalizers": ["kubernetes"]}
    return found


def _add_workload_defaults(spec: dict[str, Any]) -> None:
    spec.setdefault("progressDeadlineSeconds", 600)
    spec.setdefault("revisionHistoryLimit", 10)
    spec["template"]["metadata"]["creationTimestamp"] = None
    pod = spec["template"]["spec"]
    for name, value in {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "serviceAccount": pod["serviceAccountName"],
        "terminationGracePeriodSeconds": 30,
    }.items():
        pod.setdefault(name, value)
    for container in pod["containers"]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
        container["ports"] = [{"protocol": "TCP", **port} for port in container.get("ports", [])]
        for variable in container.get("env", []):
            if field := variable.get("valueFrom", {}).get("fieldRef"):
                field["apiVersion"] = "v1"
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe := container.get(name):
                for field, value in {"periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3}.items():
                    probe.setdefault(field, value)
                probe["successThreshold"] = 1
                if "grpc" in probe:
                    probe["grpc"].setdefault("service", "")
                if "httpGet" in probe:
                    probe["httpGet"].setdefault("scheme", "HTTP")


@pytest.mark.parametrize("file", sorted(FILES))
def test_what_kubectl_prints_is_read_as_what_was_written(file: str) -> None:
    """Every document of every file, with all that a server adds."""
    documents = [found for found in parse_text(FILES[file], file) if found and found["kind"] != "Kustomization"]
    printed = "---\n".join(dump_text(as_printed(document)) for document in documents)
    written = "---\n".join(dump_text(document) for document in documents)
    found, wanted = read({file: printed}, NAMESPACE), read({file: written}, NAMESPACE)
    assert _without_addresses(found) == _without_addresses(wanted)


def _without_addresses(resources: Resources) -> list[tuple[Metadata, Spec]]:
    """A Service has an address of its own on a cluster; all that is read of it is whether it is headless."""
    return [
        (
            resource.metadata,
            resource.spec.model_copy(update={"cluster_ip": ""})
            if isinstance(resource.spec, ServiceSpec) and not service_of(resource).headless
            else resource.spec,
        )
        for found in resources.by_model.values()
        for resource in found
    ]
