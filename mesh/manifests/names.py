"""The names that istiod gives: clusters, SNI, hosts, virtual hosts, identities. Nothing else makes such a name.

Source: istio/istio pilot/pkg/model (BuildSubsetKey, BuildDNSSrvSubsetKey), pkg/spiffe.
"""

from __future__ import annotations

DOMAIN = "svc.cluster.local"


def fqdn(service: str, namespace: str) -> str:
    """The host of a Kubernetes Service."""
    return f"{service}.{namespace}.{DOMAIN}"


def resolved(host: str, namespace: str) -> str:
    """A host of a VirtualService or DestinationRule: a short name is one of its own namespace, any other is kept."""
    return host if "." in host or host.startswith("*") else fqdn(host, namespace)


def outbound_cluster(port: int, subset: str, host: str) -> str:
    """Cluster of a service's port and subset ("" for all of it)."""
    return f"outbound|{port}|{subset}|{host}"


def inbound_cluster(target_port: int) -> str:
    """Cluster of the app's own port."""
    return f"inbound|{target_port}||"


def sni(port: int, subset: str, host: str) -> str:
    """Server name that mutual TLS sends for that cluster."""
    return f"outbound_.{port}_.{subset}_.{host}"


def spiffe_id(namespace: str, service_account: str, trust_domain: str = "cluster.local") -> str:
    """Identity of a workload (SPIFFE-ID section 2)."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"


def virtual_host_domains(host: str, client_namespace: str) -> list[str]:
    """Domains by which a client in that namespace names a host. A Service's also by its short forms.

    Source: istio/istio pilot/pkg/networking/core/httproute.go, GenerateAltVirtualHosts. Without ports:
    ignore_port_in_host_matching is set on every route configuration.
    """
    domains = [host, f"{host}."]
    if not host.endswith("." + DOMAIN):
        return domains
    service, _, namespace = host.removesuffix("." + DOMAIN).rpartition(".")
    short = [service] if namespace == client_namespace else []
    return [*domains, *short, f"{service}.{namespace}.svc", f"{service}.{namespace}"]
