"""All sidecars of a home: the manifests of istio/ and k8s/base, translated for each pod, and written to its folder.

Owns which file says what, and which addresses the translation is told: pods' loopback IPs, and sockets between an app
and its sidecar. What the files mean is mesh.sidecar's, their taking effect mesh.local.envoy's. A broken manifest is
refused before anything is started. Called by the runner, again each time when pods come, go, or are ready or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2

from mesh.local import envoy_files
from mesh.local.envoy import Envoy
from mesh.local.manifests import refusals
from mesh.local.pods import PodSpec
from mesh.manifests import Document, names, parse_documents, read_documents, read_folders
from mesh.manifests.kubernetes import Workload
from mesh.sidecar.mesh import Mesh, MeshSettings
from mesh.sidecar.proxy import Addresses, Proxy
from mesh.sidecar.reading import assemble
from mesh.sidecar.resources import Resources
from mesh.sidecar.translate import translate

NAMESPACE = "rostrum"
"""As the kustomizations of istio/ and k8s/ set it."""


def documents(root: Path) -> list[Document]:
    """The mesh's documents below the root folder of k8s/base and istio/. Raises ManifestError."""
    with refusals():
        texts = read_folders(root / "k8s" / "base", root / "istio" / "base", root / "istio" / "services")
        return list(parse_documents(texts, NAMESPACE))


def read(found: Iterable[Document], jwks: Mapping[str, str]) -> Mesh:
    """The mesh of these documents; `jwks` are key sets by their jwksUri. Raises ManifestError."""
    with refusals():
        return assemble(read_documents(found), MeshSettings(jwks=jwks))


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
        with refusals():
            resources = translate(self.mesh, proxy, addresses)
        self._inbound[proxy.workload.key] = _rules(resources)
        return envoy_files.files(spec.name, proxy, resources, self._root_pem, self._connected)

    def proxy(self, spec: PodSpec) -> Proxy:
        """The proxy of a pod."""
        workload = self.workload(spec.deployment)
        ports = dict(zip(workload.ports.values(), spec.ports, strict=True))
        return envoy_files.proxy(self.mesh, workload, spec.ip, ports)


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
