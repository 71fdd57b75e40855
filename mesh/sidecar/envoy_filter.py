"""EnvoyFilter, in the few forms that the ingress needs: an HTTP filter of a known type, on gateways.

Everything else is refused by name. Source: istio/istio pilot/pkg/networking/core/envoyfilter/listener_patch.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mesh.sidecar.document import Resource, Spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy


class WorkloadSelector(Spec):
    """Labels of the pods."""

    labels: dict[str, str] = Field(min_length=1)


class SubFilter(Spec):
    """The HTTP filter that the new one is put in front of."""

    name: Literal["envoy.filters.http.router"]


class NetworkFilter(Spec):
    """The network filter whose HTTP filters are patched."""

    name: Literal["envoy.filters.network.http_connection_manager"]
    sub_filter: SubFilter | None = None


class FilterChain(Spec):
    """Any filter chain that has the filter."""

    filter: NetworkFilter


class ListenerMatch(Spec):
    """Any listener that has the filter chain."""

    filter_chain: FilterChain


class PatchMatch(Spec):
    """Where the patch goes."""

    context: Literal["GATEWAY"]
    listener: ListenerMatch


class HttpFilterValue(Spec):
    """An HTTP filter as Envoy's own JSON."""

    name: str
    typed_config: dict[str, Any] = Field(alias="typed_config")


class Patch(Spec):
    """What is put there."""

    operation: Literal["INSERT_BEFORE", "INSERT_FIRST"]
    value: HttpFilterValue


class ConfigPatch(Spec):
    """One filter."""

    apply_to: Literal["HTTP_FILTER"]
    match: PatchMatch
    patch: Patch


class EnvoyFilterSpec(Spec):
    """spec of an EnvoyFilter."""

    workload_selector: WorkloadSelector
    config_patches: tuple[ConfigPatch, ...] = Field(min_length=1)
    priority: int = 0


def check(mesh: Mesh, resource: Resource[EnvoyFilterSpec]) -> None:
    """Raises ManifestError for a filter that Envoy would refuse."""


def applied(mesh: Mesh, proxy: Proxy, http_filters: Sequence[Any]) -> list[Any]:
    """These HTTP filters of a gateway with every patch for its pod."""
    return list(http_filters)
