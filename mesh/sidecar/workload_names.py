"""What a workload is called in traces and metrics: canonical service and revision, and the proxy's own name.

Called by `mesh.sidecar.telemetry` and `mesh.sidecar.clusters.endpoints`. Source: istio/istio pkg/model/labels.go,
pkg/bootstrap/config.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh.manifests.kubernetes import Workload


def canonical(workload: Workload) -> tuple[str, str]:
    """Canonical service and revision, as Istio reads them from the pods' labels."""
    labels = workload.labels
    service = (
        labels.get("service.istio.io/canonical-name")
        or labels.get("app.kubernetes.io/name")
        or labels.get("app")
        or workload.name
    )
    revision = (
        labels.get("service.istio.io/canonical-revision")
        or labels.get("app.kubernetes.io/version")
        or labels.get("version")
        or "latest"
    )
    return service, revision


def node_cluster(workload: Workload) -> str:
    """What the proxy calls itself (node.cluster), and the service name of its spans."""
    labels = workload.labels
    name = labels.get("app") or labels.get("app.kubernetes.io/name") or canonical(workload)[0]
    return f"{name}.{workload.namespace}"
