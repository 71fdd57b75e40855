"""Who may call what: the allowed edges of the mesh as data, read from AuthorizationPolicies and KafkaUsers.

The one place that reads rights out of manifests, for tests and the table in the README. It enforces
nothing: Envoy and the broker do that, from the same files. A policy whose edges cannot be listed (by IP, by namespace,
"all but") is refused, so the list is never shorter or longer than what is enforced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mesh.manifests import Document, ManifestError, parse_documents
from mesh.sidecar.mesh import MeshSettings, selects

OUTSIDE = "(outside)"
"""Caller of the ingress: whoever brings a valid token."""
ANYBODY = "*"
"""Caller of a policy that asks for nobody in particular."""
BROKER = "kafka"
"""Callee of edges to topics."""
ROLE = "request.auth.claims[role]"
"""The one condition that edges know."""


@dataclass(frozen=True, order=True)
class Edge:
    """One thing that one caller may do. `roles`: its token must have one; empty means that none is asked for."""

    caller: str
    """ServiceAccount, OUTSIDE, or ANYBODY."""
    callee: str
    """Deployment, or BROKER."""
    target: str
    """Path of an RPC or of HTTP, "*" at its end for all below; or the name of a topic, likewise."""
    verb: str
    """"CALL" for any HTTP method, else that method; for topics Kafka's operation, such as "Read"."""
    roles: tuple[str, ...] = ()


def edges(texts: Mapping[str, str], settings: MeshSettings | None = None, namespace: str = "default") -> list[Edge]:
    """Returns the edges that these files (name -> YAML text) allow, sorted. Arguments as those of `reading.load`.

    Raises ManifestError, also for a policy that can be enforced but not listed.
    """
    found = list(parse_documents(texts, namespace))
    reader = _Reader(found, settings or MeshSettings())
    policies = [policy for policy in found if policy.kind == "AuthorizationPolicy"]
    allowing = [policy for policy in policies if _action(policy) == "ALLOW"]
    allowed = {edge for policy in allowing for edge in reader.edges(policy)} | set(reader.open_to_all(allowing))
    denied = [edge for policy in policies if _action(policy) == "DENY" for edge in reader.edges(policy)]
    left = {kept for edge in allowed if (kept := _without(edge, denied)) is not None}
    rights = {edge for user in found if user.kind == "KafkaUser" for edge in _topics(user)}
    return sorted(_merge(left) | rights)


def _action(policy: Document) -> str:
    action = _spec(policy).get("action", "ALLOW")
    if action not in {"ALLOW", "DENY"}:
        raise ManifestError(f"{policy.where}: spec.action: edges cannot be read from {action}: use ALLOW or DENY")
    return str(action)


def _spec(document: Document) -> Mapping[str, Any]:
    spec = document.fields.get("spec") or {}
    if not isinstance(spec, dict):
        raise ManifestError(f"{document.where}: spec: a mapping is expected")
    return spec


class _Reader:
    """Reads policies in the light of the workloads that they select."""

    def __init__(self, found: list[Document], settings: MeshSettings) -> None:
        self._settings = settings
        self._workloads: dict[tuple[str, str], Mapping[str, str]] = {}
        for workload in found:
            if workload.kind in {"Deployment", "StatefulSet"}:
                labels = _spec(workload).get("template", {}).get("metadata", {}).get("labels", {})
                self._workloads[_namespace(workload), workload.fields["metadata"]["name"]] = labels

    def edges(self, policy: Document) -> Iterator[Edge]:
        """Each thing that the policy's rules match, whatever its action."""
        namespace = _namespace(policy)
        callees = self._select(policy)
        for number, rule in enumerate(_spec(policy).get("rules") or []):
            where = f"{policy.where}: spec.rules[{number}]"
            _only(rule, where, "from", "to", "when")
            callers, roles = self._callers(rule, namespace, where), _roles(rule, where)
            for callee in callees:
                for caller in callers:
                    for target, verb in _targets(rule, where):
                        yield Edge(caller, callee, target, verb, roles)

    def open_to_all(self, allowing: list[Document]) -> Iterator[Edge]:
        """The edge of each workload that no ALLOW policy selects: anybody may call anything of it."""
        guarded = {callee for policy in allowing for callee in self._select(policy)}
        for _, name in self._workloads:
            if name not in guarded:
                yield Edge(ANYBODY, name, "*", "CALL")

    def _select(self, policy: Document) -> list[str]:
        namespace = _namespace(policy)
        labels = (_spec(policy).get("selector") or {}).get("matchLabels")
        return [
            name
            for (within, name), pod_labels in self._workloads.items()
            if namespace in {within, self._settings.root_namespace} and selects(labels, pod_labels)
        ]

    def _callers(self, rule: Mapping[str, Any], namespace: str, where: str) -> list[str]:
        callers: list[str] = []
        for number, entry in enumerate(rule.get("from") or []):
            source = entry.get("source") or {}
            _only(source, f"{where}.from[{number}].source", "principals", "requestPrincipals")
            principals = source.get("principals")
            callers += [self._account(principal, namespace) for principal in principals] if principals else [OUTSIDE]
        return callers or [ANYBODY]

    def _account(self, principal: str, namespace: str) -> str:
        return principal.removeprefix(f"{self._settings.trust_domain}/ns/{namespace}/sa/")


def _roles(rule: Mapping[str, Any], where: str) -> tuple[str, ...]:
    roles: tuple[str, ...] = ()
    for number, condition in enumerate(rule.get("when") or []):
        _only(condition, f"{where}.when[{number}]", "key", "values")
        if condition.get("key") != ROLE:
            raise ManifestError(f"{where}.when[{number}].key: edges cannot be read from it: use {ROLE}")
        roles = tuple(sorted(condition.get("values") or ()))
    return roles


def _targets(rule: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for number, entry in enumerate(rule.get("to") or [{}]):
        operation = entry.get("operation") or {}
        _only(operation, f"{where}.to[{number}].operation", "methods", "paths")
        for path in operation.get("paths") or ["*"]:
            for method in operation.get("methods") or ["CALL"]:
                yield path, method


def _only(fields: Mapping[str, Any], where: str, *known: str) -> None:
    for name in fields:
        if name not in known:
            raise ManifestError(f"{where}.{name}: edges cannot be read from it: use {' and '.join(known)}")


def _without(edge: Edge, denied: list[Edge]) -> Edge | None:
    """The edge less what is denied of it; None if nothing is left."""
    for denial in denied:
        fits = (
            denial.caller in {edge.caller, ANYBODY}
            and denial.callee == edge.callee
            and denial.verb in {edge.verb, "CALL"}
            and _covers(denial.target, edge.target)
        )
        if fits:
            left = tuple(role for role in edge.roles if role not in denial.roles) if denial.roles else ()
            if not left:
                return None
            edge = replace(edge, roles=left)
    return edge


def _covers(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return path.endswith(pattern[1:]) if pattern.startswith("*") else path == pattern


def _merge(found: set[Edge]) -> set[Edge]:
    """Edges that differ by their roles alone, as one. An edge that asks for no role needs none."""
    roles: dict[Edge, set[str] | None] = {}
    for edge in found:
        bare = replace(edge, roles=())
        before = roles.get(bare, set())
        roles[bare] = None if before is None or not edge.roles else before | set(edge.roles)
    return {replace(bare, roles=tuple(sorted(wanted or ()))) for bare, wanted in roles.items()}


def _topics(user: Document) -> Iterator[Edge]:
    """What a KafkaUser may do to topics. Its groups are its own and no edge to anybody."""
    authorization = _spec(user).get("authorization") or {}
    for number, acl in enumerate(authorization.get("acls") or []):
        where = f"{user.where}: spec.authorization.acls[{number}]"
        _only(acl, where, "type", "resource", "operations", "host")
        if acl.get("type", "allow") != "allow":
            raise ManifestError(f"{where}.type: edges cannot be read from {acl['type']}: allow less instead")
        resource = acl.get("resource") or {}
        if resource.get("type") != "topic":
            continue
        target = str(resource.get("name", "*")) + ("*" if resource.get("patternType") == "prefix" else "")
        for operation in acl.get("operations") or []:
            yield Edge(user.fields["metadata"]["name"], BROKER, target, operation)


def _namespace(document: Document) -> str:
    return str(document.key.namespace)
