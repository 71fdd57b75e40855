"""Selectors of pods by their labels; Istio has two, which differ in the name of their one field."""

from __future__ import annotations

from pydantic import Field

from mesh.manifests.document import Spec


class PolicySelector(Spec):
    """The pods that a policy or Telemetry is for (istio.type.v1beta1.WorkloadSelector)."""

    match_labels: dict[str, str] = Field(min_length=1)


class WorkloadSelector(Spec):
    """The pods that a Sidecar or EnvoyFilter is for (istio.networking.v1.WorkloadSelector)."""

    labels: dict[str, str] = Field(min_length=1)
