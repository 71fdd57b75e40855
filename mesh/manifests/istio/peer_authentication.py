"""PeerAuthentication: whether a workload's port is spoken to by mutual TLS, by plain text, or by either.

Which mode holds for a port is in `mesh.sidecar.security.peer_authentication`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.selectors import PolicySelector


class MutualTls(Spec):
    """A mode; UNSET takes that of the wider scope."""

    mode: Literal["STRICT", "PERMISSIVE", "DISABLE", "UNSET"] = "UNSET"


class PeerAuthenticationSpec(Spec):
    """spec of a PeerAuthentication. Ports are the pods' own, not their Services'."""

    selector: PolicySelector | None = None
    mtls: MutualTls = MutualTls()
    port_level_mtls: dict[str, MutualTls] = Field(default_factory=dict)
