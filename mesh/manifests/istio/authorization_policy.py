"""AuthorizationPolicy: who may call what. AUDIT and CUSTOM are refused by name.

What its rules become is in `mesh.sidecar.security.authorization_policy`, which edges they allow in
`tests.support.edges`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.selectors import Selected

_REFUSED = {
    "AUDIT": "AUDIT is not translated, no Envoy keeps an audit: remove the policy",
    "CUSTOM": "CUSTOM is not translated, no authorization server is asked: write ALLOW or DENY",
}


def _action(value: object) -> object:
    if isinstance(value, str) and value in _REFUSED:
        raise ValueError(_REFUSED[value])
    return value


def _provider(value: object) -> object:
    raise ValueError(f"it is for CUSTOM; {_REFUSED['CUSTOM']}")


class Source(Spec):
    """Who calls. Within one source all fields have to hold, of one field's values any."""

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()


class Operation(Spec):
    """What is called. Ports are the pods' own."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class From(Spec):
    """One source."""

    source: Source


class To(Spec):
    """One operation."""

    operation: Operation


class When(Spec):
    """A condition on an attribute."""

    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class Rule(Spec):
    """Any of the sources, any of the operations, all of the conditions. What is left out is anybody or anything."""

    from_: tuple[From, ...] = Field((), alias="from")
    to: tuple[To, ...] = ()
    when: tuple[When, ...] = ()


class AuthorizationPolicySpec(Spec):
    """spec of an AuthorizationPolicy. ALLOW without rules allows nothing."""

    selector: Selected = None
    action: Annotated[Literal["ALLOW", "DENY"], BeforeValidator(_action)] = "ALLOW"
    rules: tuple[Rule, ...] = ()
    provider: Annotated[None, BeforeValidator(_provider)] = None
    """CUSTOM's, known here so that it is CUSTOM that is refused by name."""
