"""What a VirtualService may not say of headers: names and values that istiod or Envoy would refuse.

Called by `mesh.sidecar.routing.checks`; what operations on headers become is in `mesh.sidecar.routing.actions`.
Source: istio/istio pkg/config/validation/virtualservice.go, header_value_validator.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mesh.sidecar.routing.actions import is_authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.manifests.document import Resource
    from mesh.manifests.istio.virtual_service import HeaderOperations, Headers, HttpRoute, VirtualServiceSpec

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_VARIABLE = r"%[^%(]*(?:\([^)]*\)\s*)?%"
_VALUE = re.compile(rf"(?:[^%]|%%|{_VARIABLE})*", re.DOTALL)
"""Text in which a % is doubled, or begins and ends one of Envoy's variables."""


def check_headers(resource: Resource[VirtualServiceSpec], path: str, headers: Headers | None) -> None:
    """Raises ManifestError for a header that cannot be changed, or not to that value."""
    if headers is None:
        return
    for direction, operations in (("request", headers.request), ("response", headers.response)):
        for field, name, value in _list_changes(operations):
            here = f"{path}.{direction}.{field}"
            settable = direction == "request" and field != "remove" and is_authority(name)
            if not name or (not settable and (name.startswith(":") or is_authority(name))):
                what = f"{name!r} cannot be changed here: only Host of a request can be set; see rewrite and redirect"
                raise resource.refuse(here, what)
            if _CONTROL.search(value):
                raise resource.refuse(f"{here}[{name}]", f"{value!r} has a control character: remove it")
            if not _VALUE.fullmatch(value):
                what = f"{value!r} has a % that begins none of Envoy's variables: write %% for a percent sign"
                raise resource.refuse(f"{here}[{name}]", what)


def check_authority(resource: Resource[VirtualServiceSpec], path: str, rule: HttpRoute) -> None:
    """Raises ManifestError for a rule that gives a request more than one authority."""
    said = [rule.rewrite.authority] if rule.rewrite is not None and rule.rewrite.authority else []
    if rule.headers is not None:
        changes = _list_changes(rule.headers.request)
        said += [value for field, name, value in changes if field != "remove" and is_authority(name)]
    if len(said) > 1:
        raise resource.refuse(f"{path}.headers.request", f"gives a second authority ({', '.join(said)}): leave one")


def _list_changes(operations: HeaderOperations) -> Iterator[tuple[str, str, str]]:
    """The field, header and value of each."""
    for field, said in (("set", operations.set), ("add", operations.add)):
        for name, value in said.items():
            yield field, name, value
    for name in operations.remove:
        yield "remove", name, ""
