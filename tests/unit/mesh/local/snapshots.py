"""Snapshots of a small mesh: two services, of which one may have a policy and another version."""

from __future__ import annotations

from functools import cache

from mesh.local.declared import NAMESPACE, DeclaredResources, read_mesh
from mesh.local.manifests import Manifests
from mesh.local.snapshot import PodStatus, Snapshot
from mesh.manifests import parse_documents
from mesh.manifests.overlay import Overlay

PORT = 50051
WORKLOAD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{name: grpc, port: 50051}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      containers: [{name: app, ports: [{name: grpc, containerPort: 50051}]}]
"""
POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: closed}
spec: {selector: {matchLabels: {app: callee}}, action: DENY, rules: [{}]}
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: callee}
spec:
  hosts: [callee]
  http: [{route: [{destination: {host: callee}}], timeout: 3s}]
"""
PLAIN, CLOSED, ROUTED = frozenset[str](), frozenset({POLICY}), frozenset({ROUTE})
WORKLOADS = ("callee", "caller")
CALLEE_HOST = "callee.rostrum.svc.cluster.local"


def declare(more: frozenset[str] = PLAIN, workloads: tuple[str, ...] = WORKLOADS) -> DeclaredResources:
    """What these workloads and further documents declare; the same object for the same ones."""
    return _declare(more, workloads)


@cache
def _declare(more: frozenset[str], workloads: tuple[str, ...]) -> DeclaredResources:
    texts = {name: WORKLOAD.replace("NAME", name) for name in workloads}
    texts.update({f"more-{number}": text for number, text in enumerate(sorted(more))})
    return DeclaredResources(Overlay(), read_mesh(parse_documents(texts, NAMESPACE), {}), Manifests())


def pod(workload: str, replica: int = 0, *, is_ready: bool = True) -> PodStatus:
    """A pod of a workload, always at the same address."""
    number = 10 + 16 * sorted([*WORKLOADS, "other"]).index(workload) + replica
    account = f"spiffe://cluster.local/ns/rostrum/sa/{workload}"
    return PodStatus(workload, replica, f"127.1.1.{number}", (PORT,), account, is_ready=is_ready)


BROKER = PodStatus("kafka", 0, "127.1.1.2", (9092,))


def snapshot(*pods: PodStatus, more: frozenset[str] = PLAIN, workloads: tuple[str, ...] = WORKLOADS) -> Snapshot:
    """A snapshot in which callers know all rules, as it is after a plan was applied."""
    found = Snapshot(declare(more, workloads), b"root").with_pods(pods)
    return Snapshot(found.resources, found.root_pem, found.pods, found.rules)
