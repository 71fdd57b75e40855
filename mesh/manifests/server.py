"""What only a cluster's server owns of a resource, whatever its kind: dropped, so that `kubectl get -o yaml` is read.

Owns the list of these fields. What the server fills in where a file says nothing (such as a Deployment's dnsPolicy) is
in the models: there each is accepted with the value that it then has. Called by `mesh.manifests.texts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METADATA = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "selfLink",
        "managedFields",
        "ownerReferences",
        "finalizers",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)
"""Written by the server or by controllers, and of no meaning elsewhere. A creationTimestamp is kept unless it is null:
it orders resources that speak of the same host. Whoever applies documents puts its own there (`overlay`)."""
ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"})
"""Notes that kubectl and controllers make to themselves."""


def drop_server_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a document without them: status, these metadata, and those of a workload's pod template."""
    kept = {name: value for name, value in fields.items() if name != "status"}
    if isinstance(metadata := kept.get("metadata"), dict):
        kept["metadata"] = _drop_metadata(metadata)
    spec = kept.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    if isinstance(spec, dict) and isinstance(template, dict) and isinstance(metadata := template.get("metadata"), dict):
        kept["spec"] = {**spec, "template": {**template, "metadata": _drop_metadata(metadata)}}
    return kept


def _drop_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in metadata.items() if name not in METADATA and value is not None}
    if isinstance(annotations := kept.get("annotations"), dict) and not ANNOTATIONS.isdisjoint(annotations):
        kept["annotations"] = {name: value for name, value in annotations.items() if name not in ANNOTATIONS}
        if not kept["annotations"]:
            del kept["annotations"]
    return kept
