"""What one Envoy is given: its proxy in a pod's folder, and the files there that hold its configuration.

Owns the form in which a translation reaches an Envoy: which file holds what, and what is said in place so that Envoy
need not watch one more file. What the configuration says is mesh.sidecar's. Called by mesh.local.snapshot for the pods
of a home, and by the tests' meshes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from mesh.local.envoy import BOOTSTRAP
from mesh.local.folders import ADMIN, app_socket, outbound_socket
from mesh.manifests.kubernetes import Workload
from mesh.sidecar import sources
from mesh.sidecar.bootstrap import bootstrap
from mesh.sidecar.gateways import is_gateway
from mesh.sidecar.hosts import all_ports
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.proxy import Endpoint, Proxy
from mesh.sidecar.resources import Resources, as_dict, file_text

CERTIFICATES = "certificates"
"""The folder of key.pem and chain.pem, in the pod's."""


def proxy(mesh: Mesh, workload: Workload, ip: str, ports: Mapping[int, int]) -> Proxy:
    """The proxy of a pod: its app listens at a socket for each port, and calls others by sockets.

    A gateway has no app: what a load balancer would lead to one of its ports comes to that which `ports` has for it.
    """
    gateway = is_gateway(mesh, workload)
    app = {port: Endpoint(ip, own) if gateway else Endpoint(path=app_socket(port)) for port, own in ports.items()}
    others = {port: Endpoint(path=outbound_socket(port)) for port in sorted(all_ports(mesh))}
    return Proxy(workload, ip, app=app, outbound=others, secrets=CERTIFICATES, is_gateway=gateway)


def files(
    name: str, proxy: Proxy, resources: Resources, root_pem: bytes, rules: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The texts of a pod's Envoy by path, what others refer to first.

    `root_pem` is whom it trusts; `rules` are digests by host, as mesh.local.plan needs them.
    """
    found = {BOOTSTRAP: json.dumps(as_dict(bootstrap(name, proxy.workload.name, Endpoint(path=ADMIN))))}
    found.update(_secrets(root_pem))
    found[sources.path("clusters")] = file_text(_clusters(resources, rules or {}))
    found.update({sources.path("routes", route.name): file_text([route]) for route in resources.routes})
    found[sources.path("listeners")] = file_text(resources.listeners)
    return found


def _clusters(resources: Resources, rules: Mapping[str, str]) -> list[cluster_pb2.Cluster]:
    """The clusters with their endpoints in them, and the digest of their hosts' rules.

    Each file of endpoints of its own would cost an inotify instance, of which a user has 128; and calls under way
    outlive a cluster's replacement as they do a change of its endpoints.
    """
    endpoints = {found.cluster_name: found for found in resources.endpoints}
    clusters = []
    for translated in resources.clusters:
        cluster = cluster_pb2.Cluster()
        cluster.CopyFrom(translated)
        if cluster.type == cluster_pb2.Cluster.EDS:
            cluster.type = cluster_pb2.Cluster.STATIC
            cluster.ClearField("eds_cluster_config")
            cluster.load_assignment.CopyFrom(endpoints[cluster.name])
        if digest := rules.get(cluster.name.rpartition("|")[2]):
            cluster.metadata.filter_metadata["rostrum"].update({"rules": digest})
        clusters.append(cluster)
    return clusters


def _secrets(root_pem: bytes) -> dict[str, str]:
    """The files by which Envoy finds its certificate, looking again when it is renewed, and whom it trusts.

    Source: envoy.extensions.transport_sockets.tls.v3.Secret.
    """
    own = common_pb2.TlsCertificate(
        certificate_chain=_file("chain.pem"),
        private_key=_file("key.pem"),
        watched_directory=base_pb2.WatchedDirectory(path=CERTIFICATES),
    )
    trusted = common_pb2.CertificateValidationContext(trusted_ca=base_pb2.DataSource(inline_bytes=root_pem))
    secrets = (
        secret_pb2.Secret(name="default", tls_certificate=own),
        secret_pb2.Secret(name="ROOTCA", validation_context=trusted),
    )
    return {sources.path("secrets", secret.name): file_text([secret]) for secret in secrets}


def _file(name: str) -> base_pb2.DataSource:
    return base_pb2.DataSource(filename=f"{CERTIFICATES}/{name}")
