"""What a cluster's server adds to a resource: read as if it were not there, whatever the kind."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests import ManifestError, Resources, read
from mesh.manifests.texts import dump_texts

POD = {"serviceAccountName": "team-a", "containers": [{"name": "team-a", "command": ["true"]}]}
TEMPLATE = {"metadata": {"labels": {"app": "team-a"}}, "spec": POD}
ACL = {"resource": {"type": "topic", "name": "turns"}, "operations": ["Read"]}
USER = {"authentication": {"type": "tls"}, "authorization": {"type": "simple", "acls": [ACL]}}
NETWORKING, SECURITY = "networking.istio.io/v1", "security.istio.io/v1"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Deployment": ("apps/v1", {"spec": {"selector": {"matchLabels": {"app": "team-a"}}, "template": TEMPLATE}}),
    "StatefulSet": ("apps/v1", {"spec": {"serviceName": "team-a", "template": TEMPLATE}}),
    "Service": ("v1", {"spec": {"selector": {"app": "team-a"}, "ports": [{"name": "grpc", "port": 50051}]}}),
    "ServiceAccount": ("v1", {"automountServiceAccountToken": False}),
    "ConfigMap": ("v1", {"data": {"LOG_LEVEL": "INFO"}}),
    "Namespace": ("v1", {}),
    "KafkaTopic": ("kafka.strimzi.io/v1", {"spec": {"partitions": 6, "config": {"retention.ms": 1}}}),
    "KafkaUser": ("kafka.strimzi.io/v1", {"spec": USER}),
    "PeerAuthentication": (SECURITY, {"spec": {"mtls": {"mode": "STRICT"}}}),
    "RequestAuthentication": (SECURITY, {"spec": {"jwtRules": [{"issuer": "rostrum", "jwksUri": "https://x/keys"}]}}),
    "AuthorizationPolicy": (SECURITY, {"spec": {}}),
    "DestinationRule": (NETWORKING, {"spec": {"host": "team-a"}}),
    "VirtualService": (
        NETWORKING,
        {"spec": {"hosts": ["team-a"], "http": [{"route": [{"destination": {"host": "team-a"}}]}]}},
    ),
    "Gateway": (
        NETWORKING,
        {
            "spec": {
                "selector": {"app": "team-a"},
                "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
            }
        },
    ),
    "ServiceEntry": (
        NETWORKING,
        {
            "spec": {
                "hosts": ["api.example.com"],
                "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
                "resolution": "DNS",
            }
        },
    ),
    "Sidecar": (NETWORKING, {"spec": {"egress": [{"hosts": ["./*"]}]}}),
    "EnvoyFilter": (
        NETWORKING,
        {
            "spec": {
                "workloadSelector": {"labels": {"app": "team-a"}},
                "configPatches": [
                    {
                        "applyTo": "HTTP_FILTER",
                        "match": {
                            "context": "GATEWAY",
                            "listener": {
                                "filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}
                            },
                        },
                        "patch": {"operation": "INSERT_FIRST", "value": {"name": "limit", "typed_config": {}}},
                    }
                ],
            }
        },
    ),
    "Telemetry": ("telemetry.istio.io/v1", {"spec": {"accessLogging": [{"providers": [{"name": "log"}]}]}}),
}
"""A small document of each kind that is read: apiVersion, and what it has beside metadata."""

METADATA: dict[str, Any] = {
    "uid": "00000000-0000-4000-8000-000000000000",
    "resourceVersion": "123456",
    "generation": 4,
    "selfLink": "/apis/x",
    "creationTimestamp": None,
    "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}}],
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "1"}],
    "finalizers": ["x/y"],
    "deletionTimestamp": "2026-01-01T00:00:00Z",
    "deletionGracePeriodSeconds": 30,
    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "deployment.kubernetes.io/revision": "2"},
}


def document(kind: str, metadata: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    api_version, rest = KINDS[kind]
    metadata = {"name": "team-a", "namespace": "rostrum", **(metadata or {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest, **more}


def reading(*documents: dict[str, Any]) -> Resources:
    return read({"x.yaml": dump_texts(documents)}, "rostrum")


@pytest.mark.parametrize("field", [*METADATA, "status"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_server_owns_is_dropped(kind: str, field: str) -> None:
    """The resource is the same with each of these fields as without it."""
    if field == "status":
        printed = document(kind, status={"observedGeneration": 4, "conditions": []})
    else:
        printed = document(kind, {field: METADATA[field]})
    assert reading(printed) == reading(document(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_is_its_items(kind: str) -> None:
    """`kubectl get KIND -o yaml` prints one List, with metadata of its own."""
    printed = {"apiVersion": "v1", "kind": "List", "items": [document(kind, METADATA)], "metadata": {"selfLink": ""}}
    found = reading(printed)
    assert [(resource.metadata, resource.spec) for (resource,) in found.by_model.values()] == [
        (resource.metadata, resource.spec) for (resource,) in reading(document(kind)).by_model.values()
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", ["generateName", "nmae", "clusterName"])
def test_other_metadata_is_refused(kind: str, field: str) -> None:
    """By name: what is neither the server's nor read is a slip of the pen."""
    with pytest.raises(
        ManifestError, match=rf"^x\.yaml document 1 \({kind} team-a\): metadata\.{field}: .*no such field"
    ):
        reading(document(kind, {field: "x"}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_beside_the_known_ones_is_refused(kind: str) -> None:
    """A misspelt spec is no field of the kind."""
    with pytest.raises(ManifestError, match=rf"^x\.yaml document 1 \({kind} team-a\): sepc: is no"):
        reading(document(kind, sepc={}))


def test_a_creation_timestamp_is_kept() -> None:
    """It says which of two resources for one host is the older."""
    (rules,) = reading(document("DestinationRule", {"creationTimestamp": "2025-03-04T05:06:07Z"})).by_model.values()
    assert rules[0].age == ("2025-03-04T05:06:07Z", "team-a", "rostrum")


def test_other_annotations_are_kept() -> None:
    """Only those are dropped that kubectl and controllers make for themselves."""
    annotations = {**METADATA["annotations"], "prometheus.io/scrape": "true"}
    (services,) = reading(document("Service", {"annotations": annotations})).by_model.values()
    assert services[0].metadata.annotations == {"prometheus.io/scrape": "true"}


@pytest.mark.parametrize("name", ["networking.istio.io/exportTo", "alpha.istio.io/canonical-serviceaccounts"])
def test_an_annotation_that_would_change_what_others_see_is_refused(name: str) -> None:
    """It has an effect on a cluster, and would have none here."""
    with pytest.raises(ManifestError, match=rf"\(Service team-a\): metadata.annotations\[{name}\]: is not obeyed here"):
        reading(document("Service", {"annotations": {name: "."}}))
