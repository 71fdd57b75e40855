"""http[].match of a VirtualService: which RouteMatch its fields become.

Owns the parts that are decided while translating (gateways, port, sourceLabels, sourceNamespace), too. Called by
`mesh.sidecar.routing.routes`. Source: istio/istio pilot/pkg/networking/core/route/route.go, TranslateRouteMatch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import metadata_pb2, regex_pb2, string_pb2, value_pb2
from google.protobuf import wrappers_pb2

from mesh.manifests.document import Resource
from mesh.manifests.istio.fields import find_regex_fault, is_header_name
from mesh.manifests.istio.virtual_service import Match, StringMatch, VirtualServiceSpec, gateway_name

if TYPE_CHECKING:
    from mesh.sidecar.proxy import Proxy

_CLAIMS = "@request.auth.claims"
"""Begins a "header" that is a claim of the token."""
_PSEUDO_HEADERS = frozenset({":method", ":scheme", ":authority", ":path", ":status"})


def is_for(match: Match, namespace: str, *, port: int, proxy: Proxy, gateway_names: frozenset[str]) -> bool:
    """Whether the entry, of a VirtualService in that namespace, can hold at this proxy's listener of that port.

    An entry that names gateways does not look at where the caller is, as in istiod.
    """
    if match.port not in {0, port}:
        return False
    if match.gateways:
        return any(gateway_name(name, namespace) in gateway_names for name in match.gateways)
    return match.source_labels.items() <= proxy.workload.labels.items() and match.source_namespace in {
        "",
        proxy.namespace,
    }


def make_route_match(match: Match | None) -> route_components_pb2.RouteMatch:
    """The RouteMatch of an entry; of no entry, one that takes everything."""
    found = route_components_pb2.RouteMatch(prefix="/")
    if match is None:
        return found
    _add_headers(match, found)
    _set_path(match.uri, found)
    found.case_sensitive.CopyFrom(wrappers_pb2.BoolValue(value=not match.ignore_uri_case))
    for name, wanted in ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme)):
        if wanted is not None:
            found.headers.append(_make_header(name, wanted))
    for name, wanted in match.query_params.items():
        parameter = route_components_pb2.QueryParameterMatcher(name=name)
        if wanted.is_presence:
            parameter.present_match = True
        else:
            parameter.string_match.CopyFrom(make_string_matcher(wanted))
        found.query_parameters.append(parameter)
    return found


def is_catch_all(match: route_components_pb2.RouteMatch) -> bool:
    """Whether a RouteMatch leaves nothing to the routes behind it."""
    everything = match.prefix == "/" or match.safe_regex.regex == ".*"
    return everything and not (match.headers or match.query_parameters or match.dynamic_metadata)


def make_string_matcher(wanted: StringMatch) -> string_pb2.StringMatcher:
    """One of exact, prefix, regex as Envoy's StringMatcher."""
    if wanted.exact is not None:
        return string_pb2.StringMatcher(exact=wanted.exact)
    if wanted.prefix is not None:
        return string_pb2.StringMatcher(prefix=wanted.prefix)
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=wanted.regex or ""))


def _set_path(uri: StringMatch | None, found: route_components_pb2.RouteMatch) -> None:
    if uri is None:
        return
    if uri.exact is not None:
        found.path = uri.exact
    elif uri.prefix is not None:
        found.prefix = uri.prefix
    else:
        found.safe_regex.regex = uri.regex or ""


def _add_headers(match: Match, found: route_components_pb2.RouteMatch) -> None:
    """Headers and claims, by name; what must be absent is the same inverted."""
    for inverted, wanted_by_name in ((False, match.headers), (True, match.without_headers)):
        for name, wanted in wanted_by_name.items():
            claims = claim_path(name)
            if claims is not None:
                found.dynamic_metadata.append(_make_claim(claims, wanted, invert=inverted))
                continue
            header = _make_header(name, wanted)
            if inverted:
                header.invert_match = True
                header.treat_missing_header_as_empty = not wanted.is_presence
            found.headers.append(header)
    found.headers.sort(key=lambda header: header.name)


def _make_header(name: str, wanted: StringMatch) -> route_components_pb2.HeaderMatcher:
    if wanted.is_presence:
        return route_components_pb2.HeaderMatcher(name=name, present_match=True)
    return route_components_pb2.HeaderMatcher(name=name, string_match=make_string_matcher(wanted))


def claim_path(header: str) -> list[str] | None:
    """The claim that @request.auth.claims[a][b] or @request.auth.claims.a.b names; None for an ordinary header."""
    if not header.lower().startswith(_CLAIMS):
        return None
    rest = header[len(_CLAIMS) :]
    if rest.startswith("[") and rest.endswith("]"):
        return rest[1:-1].split("][")
    return rest[1:].split(".") if rest.startswith(".") else []


def _make_claim(claims: list[str], wanted: StringMatch, *, invert: bool) -> metadata_pb2.MetadataMatcher:
    """The claim as a string, or as one member of a list."""
    value = value_pb2.ValueMatcher(string_match=make_string_matcher(wanted))
    either = [value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=value)), value]
    return metadata_pb2.MetadataMatcher(
        filter="envoy.filters.http.jwt_authn",
        path=[metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in ("payload", *claims)],
        value=value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=either)),
        invert=invert,
    )


def check_match(resource: Resource[VirtualServiceSpec], path: str, match: Match, gateways: tuple[str, ...]) -> None:
    """Raises ManifestError for an entry that Envoy would refuse or that could never hold."""
    for name, wanted in (
        ("uri", match.uri),
        ("scheme", match.scheme),
        ("method", match.method),
        ("authority", match.authority),
    ):
        if wanted is not None:
            if wanted.regex is None and wanted.is_presence:
                raise resource.refuse(f"{path}.{name}", "says nothing: write exact, prefix or regex")
            if name != "uri" or wanted.prefix != "":
                check_string(resource, f"{path}.{name}", wanted)
    for field, name, wanted in _list_named(match):
        if field != "queryParams" and claim_path(name) and "mesh" in gateways:
            what = "a claim is read by gateways alone: name them in gateways, without mesh"
            raise resource.refuse(f"{path}.{field}[{name}]", what)
        if field != "withoutHeaders" or not wanted.is_presence:
            check_string(resource, f"{path}.{field}[{name}]", wanted)
        _check_name(resource, f"{path}.{field}[{name}]", name, wanted, is_header=field != "queryParams")
    known = {gateway_name(name, resource.namespace) for name in gateways}
    for name in match.gateways:
        if gateway_name(name, resource.namespace) not in known:
            raise resource.refuse(f"{path}.gateways", f"{name} is not among spec.gateways: add it there or remove it")


def _list_named(match: Match) -> Iterator[tuple[str, str, StringMatch]]:
    fields: Mapping[str, Mapping[str, StringMatch]] = {
        "headers": match.headers,
        "withoutHeaders": match.without_headers,
        "queryParams": match.query_params,
    }
    for field, wanted_by_name in fields.items():
        for name, wanted in wanted_by_name.items():
            yield field, name, wanted


def _check_name(
    resource: Resource[VirtualServiceSpec], path: str, name: str, wanted: StringMatch, *, is_header: bool
) -> None:
    if not name:
        raise resource.refuse(path, "a name is expected")
    claims = claim_path(name) if is_header else None
    if claims is not None and not (claims and all(claims)):
        raise resource.refuse(path, f"names no claim: write {_CLAIMS}[name]")
    if claims is not None and wanted.is_presence:
        raise resource.refuse(path, "a claim is compared: write exact, prefix or regex")
    if is_header and claims is None and name not in _PSEUDO_HEADERS and not is_header_name(name):
        raise resource.refuse(path, "is no name of a header: correct it")


def check_string(resource: Resource[VirtualServiceSpec], path: str, wanted: StringMatch) -> None:
    """Raises ManifestError for an empty prefix, and for a regex that is none of RE2's."""
    if wanted.prefix == "":
        raise resource.refuse(f"{path}.prefix", "is empty: write what values begin with")
    if wanted.regex is not None:
        check_regex(resource, f"{path}.regex", wanted.regex)


def check_regex(resource: Resource[VirtualServiceSpec], path: str, regex: str) -> None:
    """Raises ManifestError for an expression that Envoy's RE2 would not compile."""
    fault = find_regex_fault(regex)
    if fault:
        raise resource.refuse(path, fault)
