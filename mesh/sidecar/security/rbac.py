"""Envoy's RBAC messages: what one condition of an AuthorizationPolicy asks for, as a Permission or a Principal.

Owns the matchers (wildcards, identities, claims, addresses) and their order. It knows no policies: which rule holds
which conditions is in `mesh.sidecar.security.authorization_policy`, its only caller.
Source: istio/istio pilot/pkg/security/authz/model (model.go, generator.go) and authz/matcher.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from envoy.config.core.v3 import address_pb2, extension_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.type.matcher.v3 import metadata_pb2, path_pb2, regex_pb2, string_pb2, value_pb2

from mesh.manifests.names import DOMAIN
from mesh.sidecar.messages import pack, to_uint32

Action = Literal["ALLOW", "DENY"]
_DEFAULT_TRUST_DOMAIN = DOMAIN.removeprefix("svc.")
_SPIFFE = "spiffe://"
_JWT_FILTER = "envoy.filters.http.jwt_authn"
_CLAIM_OF = {"request.auth.audiences": ["aud"], "request.auth.presenter": ["azp"]}


@dataclass(frozen=True)
class Condition:
    """One thing that is asked for: one of the values, and none of the others. Keys are those of `when`, and
    hosts, methods and paths of an operation; trust domains are "source.trustDomain"."""

    key: str
    values: Sequence[str]
    not_values: Sequence[str]

    @property
    def is_permission(self) -> bool:
        """Whether it is about what is called, not about who calls."""
        return self.key in _PERMISSIONS

    @property
    def is_http_only(self) -> bool:
        """Whether it means nothing where no HTTP is read."""
        return self.key in {"hosts", "methods", "paths"} or self.key.startswith("request.")


@dataclass(frozen=True)
class Reader:
    """What conditions are read with."""

    namespace: str
    """That of the policy: service accounts without one are of it."""
    trust_domain: str

    def make_permission(self, conditions: Sequence[Condition]) -> rbac_pb2.Permission:
        """All of these at once; anything if there are none."""
        found = []
        for condition in conditions:
            values = [_PERMISSIONS[condition.key](value) for value in condition.values]
            not_values = [_PERMISSIONS[condition.key](value) for value in condition.not_values]
            if values:
                found.append(_join_permissions(values))
            if not_values:
                found.append(rbac_pb2.Permission(not_rule=_join_permissions(not_values)))
        return rbac_pb2.Permission(and_rules=rbac_pb2.Permission.Set(rules=found or [rbac_pb2.Permission(any=True)]))

    def make_principal(self, conditions: Sequence[Condition]) -> rbac_pb2.Principal:
        """All of these at once; anybody if there are none."""
        found = []
        for condition in conditions:
            if condition.values:
                found.append(self._match_any(condition.key, condition.values))
            if condition.not_values:
                found.append(rbac_pb2.Principal(not_id=self._match_any(condition.key, condition.not_values)))
        return _require_all(found or [rbac_pb2.Principal(any=True)])

    def _match_any(self, key: str, values: Sequence[str]) -> rbac_pb2.Principal:
        claim = _CLAIM_OF.get(key) or claim_path(key)
        if claim:
            return _match_claim(claim, _match_list_or_text(values))
        found = [self._match_value(key, value) for value in values]
        if key == "request.auth.principal" and len(found) == 1:
            return found[0]
        return rbac_pb2.Principal(or_ids=rbac_pb2.Principal.Set(ids=found))

    def _match_value(self, key: str, value: str) -> rbac_pb2.Principal:
        if key == "source.principal":
            return _match_identity(_match_text(self._translate_trust_domain(value), _SPIFFE))
        if key == "source.serviceAccount":
            namespace, _, account = value.rpartition("/")
            pattern = f"{_SPIFFE}.+/ns/{_quote(namespace or self.namespace)}/(.+/|)sa/{_quote(account)}(/.+)?"
            return _match_identity(_match_regex(pattern))
        if key in _PRINCIPALS:
            return _PRINCIPALS[key](value)
        return rbac_pb2.Principal(header=_match_header(header_name(key), value))

    def _translate_trust_domain(self, principal: str) -> str:
        """A principal of the default trust domain is one of the mesh's, whatever that is called."""
        trust_domain, slash, rest = principal.partition("/")
        return f"{self.trust_domain}/{rest}" if slash and trust_domain == _DEFAULT_TRUST_DOMAIN else principal


def make_unmatched_policy() -> rbac_pb2.Policy:
    """The policy that nothing matches."""
    return rbac_pb2.Policy(
        permissions=[rbac_pb2.Permission(not_rule=rbac_pb2.Permission(any=True))],
        principals=[rbac_pb2.Principal(not_id=rbac_pb2.Principal(any=True))],
    )


def claim_path(key: str) -> list[str]:
    """The keys of request.auth.claims[a][b]; empty if it is no such condition."""
    prefix = "request.auth.claims["
    return key.removeprefix(prefix).removesuffix("]").split("][") if key.startswith(prefix) else []


def header_name(key: str) -> str:
    """The name in request.headers[name]; empty if it is no such condition."""
    prefix = "request.headers["
    return key.removeprefix(prefix).removesuffix("]") if key.startswith(prefix) else ""


def is_template(path: str) -> bool:
    """Whether a path has {*} or {**} in it."""
    return "{*}" in path or "{**}" in path


def _join_permissions(permissions: Sequence[rbac_pb2.Permission]) -> rbac_pb2.Permission:
    return rbac_pb2.Permission(or_rules=rbac_pb2.Permission.Set(rules=permissions))


def _require_all(principals: Sequence[rbac_pb2.Principal]) -> rbac_pb2.Principal:
    return rbac_pb2.Principal(and_ids=rbac_pb2.Principal.Set(ids=principals))


def _make_range(value: str) -> address_pb2.CidrRange:
    """An address or a CIDR block."""
    network = ipaddress.ip_network(value, strict=False)
    return address_pb2.CidrRange(address_prefix=value.partition("/")[0], prefix_len=to_uint32(network.prefixlen))


def _match_regex(pattern: str) -> string_pb2.StringMatcher:
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=pattern))


def _quote(text: str) -> str:
    """A text as an RE2 expression for itself."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def _match_text(value: str, prefix: str = "") -> string_pb2.StringMatcher:
    """A value that may have one wildcard, at its beginning or end; what is matched begins with `prefix` before it."""
    if value == "*":
        return _match_regex(".+")
    if value.startswith("*"):
        return (
            _match_regex(f"{_quote(prefix)}.*{_quote(value[1:])}")
            if prefix
            else string_pb2.StringMatcher(suffix=value[1:])
        )
    if value.endswith("*"):
        return string_pb2.StringMatcher(prefix=prefix + value[:-1])
    return string_pb2.StringMatcher(exact=prefix + value)


def _match_trust_domain(value: str) -> string_pb2.StringMatcher:
    if value == "*":
        return string_pb2.StringMatcher(prefix=_SPIFFE)
    if "*" in value:
        return _match_regex(f"{_SPIFFE}{'[^/]*'.join(_quote(part) for part in value.split('*'))}/.*")
    return string_pb2.StringMatcher(prefix=f"{_SPIFFE}{value}/")


def _match_identity(name: string_pb2.StringMatcher) -> rbac_pb2.Principal:
    return rbac_pb2.Principal(authenticated=rbac_pb2.Principal.Authenticated(principal_name=name))


def _match_header(name: str, value: str, *, ignore_case: bool = False) -> route_components_pb2.HeaderMatcher:
    if value == "*":
        return route_components_pb2.HeaderMatcher(name=name, present_match=True)
    text = _match_text(value)
    text.ignore_case = ignore_case
    return route_components_pb2.HeaderMatcher(name=name, string_match=text)


def _match_claim(claim: Sequence[str], value: value_pb2.ValueMatcher) -> rbac_pb2.Principal:
    path = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in ("payload", *claim)]
    return rbac_pb2.Principal(
        sourced_metadata=rbac_pb2.SourcedMetadata(
            metadata_matcher=metadata_pb2.MetadataMatcher(filter=_JWT_FILTER, path=path, value=value)
        )
    )


def _match_list_or_text(values: Sequence[str]) -> value_pb2.ValueMatcher:
    """A claim that is one of the values, or a list with one of them in it."""
    texts = [value_pb2.ValueMatcher(string_match=_match_text(value)) for value in values]
    one = texts[0] if len(texts) == 1 else value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=texts))
    member = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=one))
    return value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=[member, one]))


def _match_request_principal(value: str) -> rbac_pb2.Principal:
    """issuer/subject, where the issuer may have slashes of its own."""
    issuer, slash, subject = value.rpartition("/")
    if not slash:
        if value.startswith("*"):
            issuer, subject = "*", value
        else:
            issuer, subject = value, "*" if value.endswith("*") else ""
    return _require_all([_match_text_claim("iss", issuer), _match_text_claim("sub", subject)])


def _match_text_claim(name: str, value: str) -> rbac_pb2.Principal:
    return _match_claim([name], value_pb2.ValueMatcher(string_match=_match_text(value)))


def _match_path(value: str) -> rbac_pb2.Permission:
    if not is_template(value):
        return rbac_pb2.Permission(url_path=path_pb2.PathMatcher(path=_match_text(value)))
    template = value.replace("{*}", "*").replace("{**}", "**")
    config = uri_template_match_pb2.UriTemplateMatchConfig(path_template=template)
    return rbac_pb2.Permission(
        uri_template=extension_pb2.TypedExtensionConfig(name="uri-template", typed_config=pack(config))
    )


_PERMISSIONS: Mapping[str, Callable[[str], rbac_pb2.Permission]] = {
    "hosts": lambda value: rbac_pb2.Permission(header=_match_header(":authority", value, ignore_case=True)),
    "methods": lambda value: rbac_pb2.Permission(header=_match_header(":method", value)),
    "paths": _match_path,
    "destination.port": lambda value: rbac_pb2.Permission(destination_port=int(value)),
    "destination.ip": lambda value: rbac_pb2.Permission(destination_ip=_make_range(value)),
    "connection.sni": lambda value: rbac_pb2.Permission(requested_server_name=_match_text(value)),
}
_PRINCIPALS: Mapping[str, Callable[[str], rbac_pb2.Principal]] = {
    "source.ip": lambda value: rbac_pb2.Principal(direct_remote_ip=_make_range(value)),
    "remote.ip": lambda value: rbac_pb2.Principal(remote_ip=_make_range(value)),
    "source.namespace": lambda value: _match_identity(
        _match_regex(f".*/ns/{'.*'.join(_quote(part) for part in value.split('*'))}/.*")
    ),
    "source.trustDomain": lambda value: _match_identity(_match_trust_domain(value)),
    "request.auth.principal": _match_request_principal,
}
