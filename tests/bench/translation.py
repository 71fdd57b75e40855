"""How long it takes to read a mesh of 10, 100 and 1,000 services and to translate it for every pod of it.

The mesh is Rostrum itself with more agents: each has the Deployment, Service, AuthorizationPolicy, DestinationRule,
VirtualService and Sidecar that team-b has in k8s/base and istio/services, under another name. The ingress grows with
it, as it would. Files are neither read nor written, and no Envoy runs.
"""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.local.declared import NAMESPACE
from mesh.manifests import read_folders
from mesh.sidecar.gateways import is_gateway
from mesh.sidecar.hosts import all_ports
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.proxy import Addresses, Endpoint, Proxy
from mesh.sidecar.reading import load
from mesh.sidecar.translate import translate
from tests.support.system import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.manifests.kubernetes import Workload

SERVICES = (10, 100, 1_000)
RUNS = 3
"""Of which the median counts."""
SECONDS = 3.0
"""Longest for the most services."""
GROWTH = 1.5
"""Most that a service of the largest mesh may cost, against one of a mesh a tenth as large: linear, and the machine."""
MODEL = "team-b"
KINDS = frozenset({"Deployment", "Service", "AuthorizationPolicy", "DestinationRule", "VirtualService", "Sidecar"})


@dataclass(frozen=True)
class Translation:
    """What one size came to."""

    services: int
    documents: int
    read_seconds: float
    translate_seconds: float
    ms_per_service: float
    """Both."""

    @property
    def seconds(self) -> float:
        """Both."""
        return self.read_seconds + self.translate_seconds

    def as_json(self) -> dict[str, int | float]:
        """The same as plain values."""
        return asdict(self)


def texts(services: int) -> dict[str, str]:
    """The manifests of Rostrum with so many services in all, by path."""
    found = read_folders(ROOT / "k8s" / "base", ROOT / "istio" / "base", ROOT / "istio" / "services")
    own = {path: text for path, text in found.items() if MODEL in Path(path).parts or Path(path).stem == MODEL}
    own = {path: wanted for path, text in own.items() if (wanted := _six(text))}
    count = services - len([path for path in found if "/k8s/" in path and "kind: Service\n" in found[path]])
    for number in range(count):
        name = f"agent-{number}"
        found.update({path.replace(MODEL, name): text.replace(MODEL, name) for path, text in own.items()})
    return found


def _six(text: str) -> str:
    """Only what each service of the bench has. Of the policies that is the one about who may call it."""
    found = []
    for document in re.split(r"(?m)^---$", text):
        kind = re.search(r"(?m)^kind: (.*)$", document)
        is_meant = kind is not None and kind[1] in KINDS
        if is_meant and ("kind: AuthorizationPolicy" not in document or f"\n  name: {MODEL}\n" in document):
            found.append(document)
    return "\n---\n".join(found)


def proxies(mesh: Mesh) -> Iterator[tuple[Proxy, Addresses]]:
    """Every pod's proxy, one a workload, and where all pods are."""
    addresses = Addresses({key: (f"127.{10 + n // 250}.0.{n % 250 + 1}",) for n, key in enumerate(mesh.workloads)})
    others = {port: Endpoint(path=f"out/{port}.sock") for port in sorted(all_ports(mesh))}

    def proxy(workload: Workload) -> Proxy:
        gateway = is_gateway(mesh, workload)
        (ip,) = addresses.pods[workload.key]
        app = {
            port: Endpoint(ip, port) if gateway else Endpoint(path=f"{port}.sock") for port in workload.ports.values()
        }
        return Proxy(workload, ip, app=app, outbound=others, is_gateway=gateway)

    return ((proxy(workload), addresses) for workload in mesh.workloads.values())


def _measure(files: dict[str, str]) -> tuple[float, float, Mesh]:
    start = time.perf_counter()
    mesh = load(files, namespace=NAMESPACE)
    read = time.perf_counter()
    for proxy, addresses in proxies(mesh):
        translate(mesh, proxy, addresses)
    return read - start, time.perf_counter() - read, mesh


def values(rows: list[Translation]) -> dict[str, float]:
    """Seconds by name, and what a service of the largest mesh costs against one of a mesh a tenth as large."""
    found = {f"translation of {row.services:,} services, s": round(row.seconds, 3) for row in rows}
    smaller, largest = rows[-2:]
    return {**found, "translation, growth a service": round(largest.ms_per_service / smaller.ms_per_service, 2)}


def run() -> list[Translation]:
    """Measures each size."""
    results = []
    for services in SERVICES:
        files = texts(services)
        runs = sorted((_measure(files) for _ in range(RUNS)), key=lambda timing: timing[0] + timing[1])
        read, translated, mesh = runs[len(runs) // 2]
        assert len(mesh.services) == services
        documents = sum(len(re.findall(r"(?m)^kind: ", text)) for text in files.values())
        per_service = (read + translated) / services * 1000
        results.append(Translation(services, documents, round(read, 3), round(translated, 3), round(per_service, 2)))
    return results
