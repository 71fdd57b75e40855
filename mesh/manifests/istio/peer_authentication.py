"""PeerAuthentication: whether a workload's port is spoken to by mutual TLS, by plain text, or by either.

Which mode holds for a port is in `mesh.sidecar.security.peer_authentication`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.selectors import Selected


class MutualTls(Spec):
    """A mode; UNSET takes that of the wider scope."""

    mode: Literal["STRICT", "PERMISSIVE", "DISABLE", "UNSET"] = "UNSET"


class PeerAuthenticationSpec(Spec):
    """spec of a PeerAuthentication. Ports are the pods' own, not their Services'."""

    instead: ClassVar = {
        "peers": "is of the kind Policy, which was removed: write mtls",
        "targets": "is of the kind Policy, which was removed: write selector",
        "origins": "is of the kind Policy, which was removed: write a RequestAuthentication",
    }

    selector: Selected = None
    mtls: MutualTls = MutualTls()
    port_level_mtls: dict[str, MutualTls] = Field(default_factory=dict, min_length=1)
