"""http[].match of a VirtualService: what its fields are and which RouteMatch they become.

Owns the parts that are decided while translating (gateways, port, sourceLabels, sourceNamespace), too. Called by
`mesh.sidecar.virtual_service`. Source: istio/istio pilot/pkg/networking/core/route/route.go, TranslateRouteMatch.
"""

from __future__ import annotations

from pydantic import model_validator

from mesh.sidecar.document import Spec


class StringMatch(Spec):
    """One of exact, prefix, regex; none of them (only on headers and query parameters) asks for presence."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None

    @model_validator(mode="after")
    def _one(self) -> StringMatch:
        if sum(each is not None for each in (self.exact, self.prefix, self.regex)) > 1:
            raise ValueError("only one of exact, prefix, regex can be obeyed: keep one")
        return self


class Match(Spec):
    """All that is said of one entry must hold; one entry of the list is enough."""

    name: str = ""
    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = {}
    without_headers: dict[str, StringMatch] = {}
    query_params: dict[str, StringMatch] = {}
    port: int = 0
    gateways: tuple[str, ...] = ()
    source_labels: dict[str, str] = {}
    source_namespace: str = ""
