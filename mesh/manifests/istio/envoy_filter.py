"""EnvoyFilter, in the two forms that the ingress gateway needs: an HTTP filter put into a gateway's chain, and fields
merged into its HTTP connection manager.

Every other place and operation is refused by name. Which filters and which fields are known is in
`mesh.sidecar.listeners.envoy_filters`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.selectors import WorkloadSelector


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


class FilterValue(Spec):
    """A filter as Envoy's own JSON, in the snake_case of its protos."""

    name: str = Field(min_length=1)
    typed_config: dict[str, Any] = Field(alias="typed_config")


class Patch(Spec):
    """What is put there. INSERT_BEFORE puts it before the router, or first of all without a subFilter.

    MERGE is for a NETWORK_FILTER, the other two are for an HTTP_FILTER.
    """

    operation: Literal["INSERT_BEFORE", "INSERT_FIRST", "MERGE"]
    value: FilterValue


class ConfigPatch(Spec):
    """One HTTP filter, or fields of the connection manager."""

    apply_to: Literal["HTTP_FILTER", "NETWORK_FILTER"]
    match: PatchMatch
    patch: Patch

    @property
    def is_merge(self) -> bool:
        """Whether it is of the connection manager itself."""
        return self.apply_to == "NETWORK_FILTER"

    @property
    def is_before_router(self) -> bool:
        """Whether it comes last but for the router; otherwise it comes first."""
        return self.match.listener.filter_chain.filter.sub_filter is not None


class EnvoyFilterSpec(Spec):
    """spec of an EnvoyFilter. Lower priorities are applied first."""

    workload_selector: WorkloadSelector
    config_patches: tuple[ConfigPatch, ...] = Field(min_length=1)
    priority: int = 0
