"""Selectors of pods by their labels; Istio has two, which differ in the name of their one field."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.fields import SelectorLabels


class PolicySelector(Spec):
    """The pods that a policy or Telemetry is for (istio.type.v1beta1.WorkloadSelector)."""

    match_labels: SelectorLabels = Field(min_length=1)


class WorkloadSelector(Spec):
    """The pods that a Sidecar or EnvoyFilter is for (istio.networking.v1.WorkloadSelector)."""

    labels: SelectorLabels = Field(min_length=1)


def _select_all(value: object) -> object:
    """A selector without labels is as none: it takes all pods of the namespace."""
    return None if value in ({}, {"matchLabels": {}}, {"labels": {}}) else value


Selected = Annotated[PolicySelector | None, BeforeValidator(_select_all)]
SelectedWorkloads = Annotated[WorkloadSelector | None, BeforeValidator(_select_all)]
