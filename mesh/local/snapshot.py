"""What a home runs at one moment, as a value: the resources that are active, the pods, and what their callers know.

Owns which addresses the translation is given, what each Envoy's files say, and under which rules callers' connections
are made. Pure: nothing here starts, reads or writes anything. `plan` compares two snapshots, `reconciler` holds the one
that is current.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2

from mesh.local import envoy_files
from mesh.local.declared import NAMESPACE, DeclaredResources
from mesh.sidecar import proxy as mesh_proxy
from mesh.sidecar.resources import Resources
from mesh.sidecar.translate import translate

Key = tuple[str, str]
"""Of a workload: its namespace and name."""
Endpoints = tuple[tuple[Key, tuple[str, ...]], ...]
"""IP addresses to which a workload's callers go, by workload; a mapping that can be a key itself."""

REMEMBERED = 4
"""Translations kept: those of the snapshots before and after a change, and of the stages between them."""


@dataclass(frozen=True)
class PodStatus:
    """One pod as others see it: where it is, who it is, and whether calls may go there.

    Without a `spiffe_id` it has no sidecar and is none of the mesh, as the broker. `kafka_user`: whose certificate for
    Kafka it has; empty if none.
    """

    deployment: str
    replica: int
    ip: str
    ports: tuple[int, ...] = ()
    spiffe_id: str = ""
    kafka_user: str = ""
    is_ready: bool = False

    @property
    def name(self) -> str:
        """The pod's name, "{deployment}-{replica}"."""
        return f"{self.deployment}-{self.replica}"

    @property
    def has_sidecar(self) -> bool:
        """Whether an Envoy stands before it."""
        return bool(self.spiffe_id)

    def proxy(self, resources: DeclaredResources) -> mesh_proxy.Proxy:
        """The proxy that its Envoy is."""
        workload = resources.mesh.workloads[NAMESPACE, self.deployment]
        ports = dict(zip(workload.ports.values(), self.ports, strict=True))
        return envoy_files.proxy(resources.mesh, workload, self.ip, ports)


@dataclass(frozen=True)
class Snapshot:
    """All of a home at one moment.

    `root_pem` is the certificate of the authority that every sidecar trusts. `connected` has for each host of a running
    workload a digest of what its sidecars take from others, as its callers' connections were last made for it.
    """

    resources: DeclaredResources
    root_pem: bytes
    pods: Mapping[str, PodStatus] = field(default_factory=dict)
    """By name."""
    connected: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nobody changes a snapshot, nor what it was made from."""
        object.__setattr__(self, "pods", MappingProxyType(dict(self.pods)))
        object.__setattr__(self, "connected", MappingProxyType(dict(self.connected)))

    # ---- others like it ----

    def with_pods(self, pods: Iterable[PodStatus]) -> Snapshot:
        """The same with these pods besides, or in the place of those with their names."""
        return replace(self, pods={**self.pods, **{pod.name: pod for pod in pods}})

    def without_pods(self, names: Iterable[str]) -> Snapshot:
        """The same without these pods."""
        gone = set(names)
        return replace(self, pods={name: pod for name, pod in self.pods.items() if name not in gone})

    def with_ready(self, ready: Set[str]) -> Snapshot:
        """The same with just these pods ready; it is this very one if they were."""
        pods = {name: replace(pod, is_ready=name in ready) for name, pod in self.pods.items()}
        return self if pods == self.pods else replace(self, pods=pods)

    # ---- what follows from it ----

    def pods_of(self, deployment: str) -> list[PodStatus]:
        """The pods of a Deployment, by replica."""
        pods = [pod for pod in self.pods.values() if pod.deployment == deployment]
        return sorted(pods, key=lambda pod: pod.replica)

    @property
    def endpoints(self) -> Mapping[Key, tuple[str, ...]]:
        """Where each workload's pods are: those that are ready, or all if none is, so that one can say what is wrong.

        That is Envoy's own panic routing, and what keeps files from changing while a single replica comes up.
        """
        pods: dict[Key, list[PodStatus]] = {key: [] for key in self.resources.mesh.workloads}
        for pod in self.pods.values():
            if pod.has_sidecar:
                pods.setdefault((NAMESPACE, pod.deployment), []).append(pod)
        return {
            key: tuple(pod.ip for pod in [pod for pod in found if pod.is_ready] or found) for key, found in pods.items()
        }

    @property
    def rules(self) -> Mapping[str, str]:
        """What `connected` is once callers have connected again: a digest for each host of a running workload."""
        digests: dict[Key, str] = {}
        for name, resources in self._translations().items():
            digests[NAMESPACE, self.pods[name].deployment] = _digest(resources)
        mesh = self.resources.mesh
        rules = {
            service.host: "".join(digests.get(workload.key, "") for workload in mesh.workloads_of(service))
            for service in mesh.services.values()
        }
        return {host: digest for host, digest in rules.items() if digest}

    def configuration(self) -> Mapping[str, Mapping[str, str]]:
        """The files of each Envoy, by pod, then by path; what others refer to comes first.

        Raises ManifestError for what only shows in the light of one pod.
        """
        return _write_files(*self._inputs(), tuple(sorted(self.connected.items())), self.root_pem)

    def _translations(self) -> Mapping[str, Resources]:
        return _translate_pods(*self._inputs())

    def _inputs(self) -> tuple[DeclaredResources, tuple[PodStatus, ...], Endpoints]:
        """All that a translation depends on. Readiness is in the endpoints: as such it changes no file."""
        sidecars = tuple(replace(pod, is_ready=False) for _, pod in sorted(self.pods.items()) if pod.has_sidecar)
        return self.resources, sidecars, tuple(sorted(self.endpoints.items()))


@lru_cache(maxsize=REMEMBERED)
def _translate_pods(
    resources: DeclaredResources, pods: tuple[PodStatus, ...], endpoints: Endpoints
) -> Mapping[str, Resources]:
    addresses = mesh_proxy.Addresses(dict(endpoints))
    return {pod.name: translate(resources.mesh, pod.proxy(resources), addresses) for pod in pods}


@lru_cache(maxsize=REMEMBERED)
def _write_files(
    resources: DeclaredResources,
    pods: tuple[PodStatus, ...],
    endpoints: Endpoints,
    connected: tuple[tuple[str, str], ...],
    root_pem: bytes,
) -> Mapping[str, Mapping[str, str]]:
    translations, rules = _translate_pods(resources, pods, endpoints), dict(connected)
    return {
        pod.name: envoy_files.files(pod.name, pod.proxy(resources), translations[pod.name], root_pem, rules)
        for pod in pods
    }


def _digest(resources: Resources) -> str:
    """A digest of what a sidecar takes from others, the same for all replicas."""
    digest = hashlib.sha256()
    for listener in resources.listeners:
        if listener.traffic_direction == base_pb2.INBOUND:
            same = listener_pb2.Listener()
            same.CopyFrom(listener)
            same.ClearField("address")
            digest.update(same.SerializeToString(deterministic=True))
    return digest.hexdigest()[:16]
