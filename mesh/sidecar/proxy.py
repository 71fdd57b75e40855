"""The proxy that a translation is for: whose pod it stands beside, and how it reaches the app and its callers.

istiod's proxies find both by iptables; ours are configured with both. Addresses are data that the caller gives:
nothing here makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh.manifests.kubernetes import Workload


@dataclass(frozen=True)
class Endpoint:
    """Somewhere to connect to or to listen at: an IP address and port, or the path of a Unix socket."""

    ip: str = ""
    port: int = 0
    path: str = ""


@dataclass(frozen=True)
class Addresses:
    """Where everything is: pods' IPs by (namespace, workload), one a replica, and Services' virtual IPs by host."""

    pods: Mapping[tuple[str, str], tuple[str, ...]]
    vips: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Proxy:
    """One Envoy: a sidecar, or the gateway pod that a Gateway's selector takes.

    `app` maps a target port of the pod to where the app listens. `outbound` maps a service port to where the app finds
    that port of every host; a port that is missing is not served outbound. `secrets` is the folder with key.pem,
    chain.pem and root.pem, as the Envoy sees it.
    """

    workload: Workload
    ip: str
    app: Mapping[int, Endpoint]
    outbound: Mapping[int, Endpoint]
    secrets: str = "certificates"
    is_gateway: bool = False

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return self.workload.namespace
