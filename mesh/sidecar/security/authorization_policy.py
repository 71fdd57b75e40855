"""AuthorizationPolicy: who may call what, as Envoy's RBAC filters; one per action, DENY before ALLOW.

Owns which policies are for a workload, and what a rule becomes where no HTTP is read (ALLOW: nothing; DENY: what is
left of it). Called by `mesh.sidecar.listeners.connection_manager` and `.inbound`. Source: istio/istio
pilot/pkg/security/authz/builder/builder.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2

from mesh.manifests.istio.authorization_policy import AuthorizationPolicySpec, Operation, Rule, Source
from mesh.sidecar.messages import make_http_filter, make_network_filter
from mesh.sidecar.security.rbac import Action, Condition, Reader, make_unmatched_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.manifests.document import Resource
    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh

_SOURCE_KEYS = {
    "principals": "source.principal",
    "request_principals": "request.auth.principal",
    "service_accounts": "source.serviceAccount",
    "trust_domains": "source.trustDomain",
    "namespaces": "source.namespace",
    "remote_ip_blocks": "remote.ip",
    "ip_blocks": "source.ip",
}
"""Key of each field of a source, in the order of istiod's messages."""
_OPERATION_KEYS = {"hosts": "hosts", "methods": "methods", "paths": "paths", "ports": "destination.port"}
_WHEN_KEYS = frozenset(
    {
        *_SOURCE_KEYS.values(),
        "request.auth.audiences",
        "request.auth.presenter",
        "destination.ip",
        "destination.port",
        "connection.sni",
    }
)
_BRACKETED = re.compile(r"request\.headers\[[^\[\]]+\]|request\.auth\.claims(\[[^\[\]]+\])+")
_SEGMENT = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")
"""What istiod takes between the slashes of a path with {*} or {**}."""
_NAMED = "request.headers[name], request.auth.claims[name]"


def check_authorization_policy(mesh: Mesh, resource: Resource[AuthorizationPolicySpec]) -> None:
    """Raises ManifestError for what istiod would refuse, drop or pass over."""
    spec = resource.spec
    if resource.metadata.annotations.get("istio.io/dry-run", "false") != "false":
        raise resource.refuse("", "is a dry run (istio.io/dry-run), which is not translated: remove the annotation")
    namespace = None if resource.namespace == mesh.settings.root_namespace else resource.namespace
    if spec.selector is not None and not any(mesh.workloads_with(spec.selector.match_labels, namespace)):
        raise resource.refuse("selector.matchLabels", "no workload has these labels: correct them")
    if spec.action == "DENY" and not spec.rules:
        raise resource.refuse("rules", "DENY without rules denies nothing: write rules ([{}] denies everything)")
    for number, rule in enumerate(spec.rules):
        for i, when in enumerate(rule.when):
            if when.key not in _WHEN_KEYS and not _BRACKETED.fullmatch(when.key):
                fault = f"key {when.key!r} is not known: write one of {', '.join(sorted(_WHEN_KEYS))}, {_NAMED}"
                raise resource.refuse(f"rules[{number}].when[{i}]", fault)
        for path, condition in _list_with_paths(rule):
            for fault in _find_faults(condition):
                raise resource.refuse(f"rules[{number}].{path}", fault)
        for i, from_ in enumerate(rule.from_):
            if _mixes_identities(from_.source):
                where = f"rules[{number}].from[{i}].source.serviceAccounts"
                raise resource.refuse(where, "does not go with principals or namespaces: write another source")


def _mixes_identities(source: Source) -> bool:
    """istiod refuses accounts beside what they would be compared with."""
    others = (source.principals, source.not_principals, source.namespaces, source.not_namespaces)
    return bool(source.service_accounts or source.not_service_accounts) and any(others)


def _list_with_paths(rule: Rule) -> Iterator[tuple[str, Condition]]:
    """Every condition with its path; an entry that says nothing has one without values."""
    for i, source in enumerate(rule.from_):
        found = list(_list_conditions(source.source, _SOURCE_KEYS))
        yield from ((f"from[{i}].source", condition) for condition in found or [Condition("source", (), ())])
    for i, operation in enumerate(rule.to):
        found = list(_list_conditions(operation.operation, _OPERATION_KEYS))
        yield from ((f"to[{i}].operation", condition) for condition in found or [Condition("operation", (), ())])
    for i, when in enumerate(rule.when):
        yield f"when[{i}]", Condition(when.key, when.values, when.not_values)


def _find_faults(condition: Condition) -> Iterator[str]:
    """What is wrong with a condition, one sentence each."""
    key, values = condition.key, (*condition.values, *condition.not_values)
    if not values:
        yield f"{key} says nothing: add values, or remove it"
    for value in values:
        fault = _fault_of(key, value)
        if fault:
            yield f"{key} {value!r}: {fault}"


def _fault_of(key: str, value: str) -> str:
    if not value:
        return "is empty: write a value"
    if key in _FORMS:
        is_good, fault = _FORMS[key]
        return "" if is_good(value) else fault
    if key == "paths" and ("{" in value or "}" in value):
        return _fault_of_template(value)
    if "*" in value[1:-1] or (len(value) > 1 and value.startswith("*") and value.endswith("*")):
        return "one * is known, at the beginning or at the end: write it there"
    if key == "source.principal" and "*" not in value and not re.fullmatch(r"[^/]+/ns/[^/]+/sa/[^/]+", value):
        return "is no <trust domain>/ns/<namespace>/sa/<account>: correct it, without spiffe://"
    return ""


def _fault_of_template(value: str) -> str:
    parts = value.split("/")
    if parts[0] or not all(part in {"{*}", "{**}"} or not re.search(r"[{}*]", part) for part in parts[1:]):
        return "{*} and {**} stand for whole segments, beside no other wildcard: correct it"
    segments = value.strip("/").split("/")
    if not all(segment in {"{*}", "{**}"} or _SEGMENT.fullmatch(segment) for segment in segments):
        return "beside {*} and {**} a segment has letters, digits and -._~%!$&'()+,;:@= alone: correct it"
    if parts.count("{**}") > 1 or ("{**}" in parts and "{*}" in parts[parts.index("{**}") :]):
        return "{**} may be there once, with no {*} after it: correct it"
    return ""


def _is_network(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return "/" not in value or re.fullmatch(r"0|[1-9][0-9]*", value.rpartition("/")[2]) is not None


def _is_port(value: str) -> bool:
    return value.isascii() and value.isdecimal() and int(value) <= 65535


_NO_ADDRESS = "is neither an IP address nor a CIDR block: correct it"
_FORMS: dict[str, tuple[Callable[[str], object], str]] = {
    "source.ip": (_is_network, _NO_ADDRESS),
    "remote.ip": (_is_network, _NO_ADDRESS),
    "destination.ip": (_is_network, _NO_ADDRESS),
    "destination.port": (_is_port, "is no port: correct it"),
    "source.namespace": (re.compile(r"[-a-z0-9*]+").fullmatch, "is no name of a namespace: correct it"),
    "source.trustDomain": (
        re.compile(r"\*?[^/*]+|[^/*]+\*|\*").fullmatch,
        "is no trust domain, in which one * is known, at the beginning or at the end: correct it",
    ),
    "source.serviceAccount": (
        re.compile(r"([^/*]+/)?[^/*]+").fullmatch,
        "is no <account> or <namespace>/<account>, in which no * is known: correct it",
    ),
}
"""What values of these keys look like, and what is said of one that does not."""


def _list_conditions(model: Source | Operation, keys: dict[str, str]) -> Iterator[Condition]:
    for name, key in keys.items():
        values, not_values = getattr(model, name), getattr(model, f"not_{name}")
        if values or not_values:
            yield Condition(key, values, not_values)


def _labels_of(spec: AuthorizationPolicySpec) -> Mapping[str, str] | None:
    return None if spec.selector is None else spec.selector.match_labels


def make_http_filters(mesh: Mesh, workload: Workload) -> list[http_connection_manager_pb2.HttpFilter]:
    """The HTTP filters of the policies for a workload: DENY, then ALLOW; none of an action that no policy has."""
    by_action = _build_rules(mesh, workload, is_tcp=False)
    return [make_http_filter("rbac", http_rbac_pb2.RBAC(rules=rules)) for rules in by_action]


def make_tcp_filters(mesh: Mesh, workload: Workload) -> list[listener_components_pb2.Filter]:
    """The same as network filters, for ports where no HTTP is read."""
    by_action = _build_rules(mesh, workload, is_tcp=True)
    return [make_network_filter("rbac", network_rbac_pb2.RBAC(rules=rules, stat_prefix="tcp.")) for rules in by_action]


def _build_rules(mesh: Mesh, workload: Workload, *, is_tcp: bool) -> Iterator[rbac_pb2.RBAC]:
    actions: tuple[Action, ...] = ("DENY", "ALLOW")
    all_policies = mesh.list_selecting(AuthorizationPolicySpec, workload, _labels_of)
    for action in actions:
        policies = [policy for policy in all_policies if policy.spec.action == action]
        if policies:
            found = rbac_pb2.RBAC(action=rbac_pb2.RBAC.Action.Value(action))
            for policy in policies:
                _add_policies(mesh, found, policy, is_tcp=is_tcp)
            yield found


def _add_policies(
    mesh: Mesh, rbac: rbac_pb2.RBAC, resource: Resource[AuthorizationPolicySpec], *, is_tcp: bool
) -> None:
    name = f"ns[{resource.namespace}]-policy[{resource.name}]-rule"
    reader = Reader(resource.namespace, mesh.settings.trust_domain)
    if not resource.spec.rules:
        rbac.policies[f"{name}[0]"].CopyFrom(make_unmatched_policy())
    for number, rule in enumerate(resource.spec.rules):
        conditions = [condition for _, condition in _list_with_paths(rule)]
        if is_tcp and resource.spec.action == "ALLOW" and any(condition.is_http_only for condition in conditions):
            continue
        rbac.policies[f"{name}[{number}]"].CopyFrom(_build_policy(reader, rule, is_tcp=is_tcp))


def _build_policy(reader: Reader, rule: Rule, *, is_tcp: bool) -> rbac_pb2.Policy:
    whens = [Condition(when.key, when.values, when.not_values) for when in rule.when]

    def keep(conditions: Iterable[Condition]) -> list[Condition]:
        return [condition for condition in conditions if not (is_tcp and condition.is_http_only)]

    of_callee = keep(when for when in whens if when.is_permission)
    of_caller = keep(when for when in whens if not when.is_permission)
    operations = [keep(_list_conditions(to.operation, _OPERATION_KEYS)) for to in rule.to] or [[]]
    sources = [keep(_list_conditions(from_.source, _SOURCE_KEYS)) for from_ in rule.from_] or [[]]
    return rbac_pb2.Policy(
        permissions=[reader.make_permission([*operation, *of_callee]) for operation in operations],
        principals=[reader.make_principal([*source, *of_caller]) for source in sources],
    )
