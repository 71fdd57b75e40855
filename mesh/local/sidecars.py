"""All sidecars of a home: the manifests of istio/ and k8s/base, translated for each pod, and written to its folder.

Owns which file says what, and which addresses the translation is told: pods' loopback IPs, and sockets between an app
and its sidecar. What the files mean is mesh.sidecar's, their taking effect mesh.local.envoy's. A broken manifest is
refused before anything is started. Called by the runner, again each time when pods come, go, or are ready or not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from mesh.local.envoy import BOOTSTRAP, Envoy
from mesh.local.errors import ManifestError
from mesh.local.folders import ADMIN, app_socket, outbound_socket
from mesh.local.pods import PodSpec
from mesh.sidecar import names, sources
from mesh.sidecar.bootstrap import bootstrap
from mesh.sidecar.errors import ManifestError as MeshManifestError
from mesh.sidecar.gateway import GatewaySpec
from mesh.sidecar.kubernetes import Workload
from mesh.sidecar.mesh import Mesh, MeshSettings, selects
from mesh.sidecar.proxy import Addresses, Place, Proxy
from mesh.sidecar.reading import load
from mesh.sidecar.resources import Resources, as_dict, file_text
from mesh.sidecar.service_entry import ServiceEntrySpec
from mesh.sidecar.translate import translate

NAMESPACE = "rostrum"
"""As the kustomizations of istio/ and k8s/ set it."""
CERTIFICATES = "certificates"


def texts(root: Path) -> dict[str, str]:
    """The mesh's manifests below the root folder of k8s/base and istio/, by path. Raises ManifestError."""
    found: dict[str, str] = {}
    for folder in (root / "k8s" / "base", root / "istio" / "base", root / "istio" / "services"):
        files = sorted(folder.rglob("*.yaml")) if folder.is_dir() else []
        if not files:
            raise ManifestError(f"There are no manifests in {folder}: give the folder that holds k8s/ and istio/.")
        for file in files:
            try:
                found[str(file)] = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ManifestError(f"{file}: cannot be read: {error}") from error
    return found


def read(files: Mapping[str, str], jwks: Mapping[str, str]) -> Mesh:
    """The mesh of these files; `jwks` are key sets by their jwksUri. Raises ManifestError."""
    try:
        return load(files, MeshSettings(jwks=jwks), NAMESPACE)
    except MeshManifestError as error:
        raise ManifestError(str(error)) from error


@dataclass(frozen=True)
class Standing:
    """A pod as others see it. `ready`: calls may go there."""

    spec: PodSpec
    ready: bool


class Sidecars:
    """Writes for the sidecars that it is given. `mesh` may be replaced by another one between two writes."""

    def __init__(self, mesh: Mesh, root_pem: bytes) -> None:
        """`root_pem`: the certificate of the authority that every sidecar trusts."""
        self.mesh, self._root_pem = mesh, root_pem
        self._inbound: dict[tuple[str, str], str] = {}
        """What each workload's sidecars take from others, as last translated: a digest."""
        self._connected: dict[str, str] = {}
        """The same of each host, as its callers' connections were last made for it."""

    def workload(self, deployment: str) -> Workload:
        """The workload that this Deployment is."""
        return self.mesh.workloads[NAMESPACE, deployment]

    def spiffe_id(self, deployment: str) -> str:
        """Who its pods are."""
        account = self.workload(deployment).service_account
        return names.spiffe_id(NAMESPACE, account, self.mesh.settings.trust_domain)

    def write(self, envoys: Iterable[Envoy], addresses: Addresses) -> list[Envoy]:
        """Writes what has changed for each of them, and returns those that were given something new.

        Raises ManifestError for what only shows in the light of one pod, before it writes anything.
        """
        return [envoy for envoy, found in self.check(envoys, addresses) if envoy.write(found)]

    def check(self, envoys: Iterable[Envoy], addresses: Addresses) -> list[tuple[Envoy, dict[str, str]]]:
        """Returns each with the files that it would be given. Raises ManifestError as `write` does."""
        return [(envoy, self.files(envoy.process.spec, addresses)) for envoy in envoys]

    def reconnect(self) -> bool:
        """Has callers connect anew, at the next `write`, to pods whose rules have changed; False if none have.

        A connection keeps the rules under which it was made. Callers' clusters get the new rules' digest as metadata:
        Envoy then takes new connections for new calls, and lets those under way end on the old ones. Call it once the
        new rules are in force.
        """
        hosts = {
            service.host: "".join(self._inbound.get(each.key, "") for each in self.mesh.workloads_of(service))
            for service in self.mesh.services.values()
        }
        changed, self._connected = hosts != self._connected, hosts
        return changed

    def addresses(self, pods: Iterable[Standing]) -> Addresses:
        """Where each workload's pods are: those that are ready, or all if none is, so that one can say what is wrong.

        That is Envoy's own panic routing, and what keeps files from changing while a single replica comes up.
        """
        found: dict[tuple[str, str], list[Standing]] = {key: [] for key in self.mesh.workloads}
        for pod in pods:
            found.setdefault((NAMESPACE, pod.spec.deployment), []).append(pod)
        ips = {}
        for key, standing in found.items():
            ready = [each for each in standing if each.ready] or standing
            ips[key] = tuple(each.spec.ip for each in ready)
        return Addresses(ips)

    def files(self, spec: PodSpec, addresses: Addresses) -> dict[str, str]:
        """All files of one Envoy by path, what others refer to first. Raises ManifestError."""
        proxy = self.proxy(spec)
        try:
            resources = translate(self.mesh, proxy, addresses)
        except MeshManifestError as error:
            raise ManifestError(str(error)) from error
        self._inbound[proxy.workload.key] = _rules(resources)
        found = {BOOTSTRAP: self._bootstrap(spec, proxy)}
        found.update(_secrets(self._root_pem))
        found[sources.path("clusters")] = file_text(_clusters(resources, self._connected))
        found.update({sources.path("routes", each.name): file_text([each]) for each in resources.routes})
        found[sources.path("listeners")] = file_text(resources.listeners)
        return found

    def proxy(self, spec: PodSpec) -> Proxy:
        """The proxy of a pod: its own addresses, and the sockets by which app and sidecar find each other."""
        workload = self.workload(spec.deployment)
        ports = {port.number for service in self.mesh.services.values() for port in service.ports}
        ports |= {port.number for entry in self.mesh.all(ServiceEntrySpec) for port in entry.spec.ports}
        is_gateway = self.is_gateway(spec.deployment)
        app = {port: Place(path=app_socket(port)) for port in workload.ports.values()}
        if is_gateway:  # it has no app: what a cluster's load balancer would lead to its ports comes to our own
            app = {port: Place(spec.ip, own) for port, own in zip(workload.ports.values(), spec.ports, strict=True)}
        return Proxy(
            workload,
            spec.ip,
            app=app,
            outbound={port: Place(path=outbound_socket(port)) for port in sorted(ports)},
            secrets=CERTIFICATES,
            is_gateway=is_gateway,
        )

    def is_gateway(self, deployment: str) -> bool:
        """Whether a Gateway takes these pods."""
        labels = self.workload(deployment).labels
        return any(each.spec.selector and selects(each.spec.selector, labels) for each in self.mesh.all(GatewaySpec))

    def _bootstrap(self, spec: PodSpec, proxy: Proxy) -> str:
        message = bootstrap(spec.name, proxy.workload.name, Place(path=ADMIN))
        return json.dumps(as_dict(message), indent=1)


def _clusters(resources: Resources, rules: Mapping[str, str]) -> list[cluster_pb2.Cluster]:
    """The clusters with their endpoints in them, and the digest of their hosts' rules.

    Each file of endpoints of its own would cost an inotify instance, of which a user has 128; and calls under way
    outlive a cluster's replacement as they do a change of its endpoints.
    """
    endpoints = {each.cluster_name: each for each in resources.endpoints}
    for cluster in resources.clusters:
        if cluster.type == cluster_pb2.Cluster.EDS:
            cluster.type = cluster_pb2.Cluster.STATIC
            cluster.ClearField("eds_cluster_config")
            cluster.load_assignment.CopyFrom(endpoints[cluster.name])
        if digest := rules.get(cluster.name.rpartition("|")[2]):
            cluster.metadata.filter_metadata["rostrum"].update({"rules": digest})
    return resources.clusters


def _rules(resources: Resources) -> str:
    """A digest of what a sidecar takes from others, the same for all replicas."""
    digest = hashlib.sha256()
    for listener in resources.listeners:
        if listener.traffic_direction == base_pb2.INBOUND:
            same = listener_pb2.Listener()
            same.CopyFrom(listener)
            same.ClearField("address")
            digest.update(same.SerializeToString(deterministic=True))
    return digest.hexdigest()[:16]


def _secrets(root_pem: bytes) -> dict[str, str]:
    """The files by which Envoy finds its certificate, looking again when it is renewed, and whom it trusts.

    Source: envoy.extensions.transport_sockets.tls.v3.Secret.
    """
    watched = base_pb2.WatchedDirectory(path=CERTIFICATES)
    own = secret_pb2.Secret(
        name="default",
        tls_certificate=common_pb2.TlsCertificate(
            certificate_chain=_file("chain.pem"), private_key=_file("key.pem"), watched_directory=watched
        ),
    )
    trusted = secret_pb2.Secret(
        name="ROOTCA",
        validation_context=common_pb2.CertificateValidationContext(
            trusted_ca=base_pb2.DataSource(inline_bytes=root_pem)
        ),
    )
    return {sources.path("secrets", each.name): file_text([each]) for each in (own, trusted)}


def _file(name: str) -> base_pb2.DataSource:
    return base_pb2.DataSource(filename=f"{CERTIFICATES}/{name}")
