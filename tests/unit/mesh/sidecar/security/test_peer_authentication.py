"""PeerAuthentication: how the mode of a port is found, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.sidecar.mesh import Mesh
from mesh.sidecar.security import peer_authentication
from tests.unit.mesh.sidecar.serving import GRPC, HTTP, document, mesh_of, refusal


def _policy(mode: str | None, name: str = "default", namespace: str = "shop", **spec: Any) -> Any:
    mtls = {} if mode is None else {"mtls": {"mode": mode}}
    return document("PeerAuthentication", {**mtls, **spec}, name, namespace)


def _of_backend(mode: str | None, name: str = "backend", **spec: Any) -> Any:
    return _policy(mode, name, selector={"matchLabels": {"app": "backend"}}, **spec)


def _mode(mesh: Mesh, port: int = HTTP, pod: str = "backend") -> str:
    return peer_authentication.resolve_mode(mesh, mesh.workloads["shop", pod], port)


@pytest.mark.parametrize(
    ("root", "namespace", "workload", "expected"),
    [
        (None, None, None, "PERMISSIVE"),
        ("STRICT", None, None, "STRICT"),
        ("STRICT", "PERMISSIVE", None, "PERMISSIVE"),
        ("STRICT", "UNSET", None, "STRICT"),
        ("STRICT", "UNSET", "PERMISSIVE", "PERMISSIVE"),
        ("STRICT", "UNSET", "UNSET", "STRICT"),
        ("DISABLE", "STRICT", "UNSET", "STRICT"),
        (None, "STRICT", "DISABLE", "DISABLE"),
        (None, "UNSET", "UNSET", "PERMISSIVE"),
    ],
)
def test_the_narrower_scope_wins(root: str | None, namespace: str | None, workload: str | None, expected: str) -> None:
    """Workload, then namespace, then root namespace; UNSET is what the wider one says; PERMISSIVE is the last word."""
    said = [
        *([] if root is None else [_policy(root, namespace="istio-system")]),
        *([] if namespace is None else [_policy(namespace)]),
        *([] if workload is None else [_of_backend(workload)]),
    ]
    assert _mode(mesh_of(*said)) == expected


def test_a_policy_without_mtls_is_unset() -> None:
    """It inherits."""
    assert _mode(mesh_of(_policy("STRICT"), _of_backend(None))) == "STRICT"


def test_a_selector_is_for_its_pods_alone() -> None:
    """The client's own mode stays that of the namespace."""
    mesh = mesh_of(_policy("STRICT"), _of_backend("DISABLE"))
    assert (_mode(mesh), _mode(mesh, pod="client")) == ("DISABLE", "STRICT")


@pytest.mark.parametrize(
    ("mode", "expected"), [("STRICT", "STRICT"), ("PERMISSIVE", "PERMISSIVE"), ("UNSET", "DISABLE")]
)
def test_a_port_has_its_own_mode(mode: str, expected: str) -> None:
    """By the pod's port, not the Service's; UNSET there is the workload's mode, and others are as they were."""
    mesh = mesh_of(_policy("STRICT"), _of_backend("DISABLE", portLevelMtls={str(HTTP): {"mode": mode}}))
    assert (_mode(mesh, HTTP), _mode(mesh, GRPC)) == (expected, "DISABLE")


def test_the_oldest_wins() -> None:
    """Of two policies that select a pod, whatever they are called."""
    older = _of_backend("DISABLE", "z")
    older["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    newer = _of_backend("STRICT", "a")
    newer["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    assert _mode(mesh_of(newer, older)) == "DISABLE"


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (_policy("TIGHT"), "spec.mtls.mode: input should be 'STRICT'"),
        (_policy("STRICT", portLevelMtls={"80": {"mode": "STRICT"}}), "spec.portLevelMtls: has no effect"),
        (_of_backend("STRICT", portLevelMtls={"80": {"mode": "STRICT"}}), "spec.portLevelMtls[80]: is no port"),
        (
            _policy("STRICT", namespace="istio-system", selector={"matchLabels": {"app": "root"}}),
            "spec.selector: selects nothing in the root namespace",
        ),
        (_policy("STRICT", selector={"matchLabels": {"app": "bakend"}}), "spec.selector.matchLabels: no workload"),
        (_policy("STRICT", selector={"matchLabels": {"app": "back*"}}), "spec.selector.matchLabels: app=back"),
        (_policy("STRICT", modus="STRICT"), "spec.modus: is not translated, or no such field"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_refused(policy: Any, message: str) -> None:
    """By file, document and field."""
    assert message in refusal(policy)
    assert refusal(policy).startswith("case.yaml document 1 (PeerAuthentication ")


def test_a_second_one_for_the_namespace_is_refused() -> None:
    """istiod would take the oldest and say nothing."""
    assert "is for all of shop already" in refusal(_policy("STRICT", "one"), _policy("DISABLE", "two"))
