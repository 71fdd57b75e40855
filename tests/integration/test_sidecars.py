"""Real pods behind real Envoys with real certificates: who gets in, who does not; and an end that nobody notices."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.local.certificates import LEAF_LIFETIME
from mesh.local.client import ROOT
from mesh.local.declared import NAMESPACE, DeclaredResources, read_mesh
from mesh.local.envoy import Envoy
from mesh.local.folders import PodFolder
from mesh.local.identities import CertificateRequest, Identities, open_authority
from mesh.local.manifests import Manifests
from mesh.local.pods import Pod, PodSpec
from mesh.local.probing import Probe
from mesh.local.replica import Replica
from mesh.local.snapshot import PodStatus, Snapshot
from mesh.manifests import parse_documents
from mesh.manifests.overlay import Overlay
from mesh.rpc.channels import Channels
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(60)

PORT = 50051
WORKLOAD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{name: grpc, port: 50051}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      containers: [{name: app, ports: [{name: grpc, containerPort: 50051}]}]
"""
POLICIES = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callee}
spec:
  selector: {matchLabels: {app: callee}}
  action: ALLOW
  rules:
    - from: [{source: {principals: [cluster.local/ns/rostrum/sa/friend]}}]
      to: [{operation: {paths: [/grpc.health.v1.Health/Check]}}]
---
# Each call has a connection of its own, and so a handshake.
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: callee}
spec:
  host: callee
  trafficPolicy:
    tls: {mode: ISTIO_MUTUAL}
    connectionPool: {http: {maxRequestsPerConnection: 1}}
"""
WORKLOADS = ("callee", "friend", "stranger")


@dataclass
class Pods:
    """Some pods of these workloads, all notified of each other."""

    home: Path
    network: str
    lifetime: dt.timedelta
    replicas: dict[str, Replica] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.home / "logs").mkdir(parents=True)
        files = {name: WORKLOAD.replace("NAME", name) for name in WORKLOADS}
        self.authority = open_authority(self.home / "ca")
        documents = parse_documents({**files, "policies": POLICIES}, NAMESPACE)
        self.resources = DeclaredResources(Overlay(), read_mesh(documents, {}), Manifests())
        self.identities = Identities(self.authority, lifetime=self.lifetime)

    def add(self, workload: str, number: int) -> None:
        """A pod whose sidecar is to be notified, and which is to be started."""
        folder = PodFolder(self.home, f"{workload}-{number}")
        self.identities.add(CertificateRequest(folder.certificates, spiffe_id=self.resources.spiffe_id(workload)))
        logs = self.home / "logs"
        spec = PodSpec(
            workload, number, f"{self.network}.{len(self.replicas) + 10}", (PORT,),
            [sys.executable, "-m", "tests.support.health_only"],
            {"LISTEN_ADDRESS": f"unix:{folder.app_socket(PORT)}"}, ROOT, logs / f"{workload}-{number}.log",
            Probe(grpc_port=PORT), folder=folder,
        )  # fmt: skip
        envoy = Envoy(spec, folder, logs / f"{workload}-{number}.envoy.log")
        self.replicas[spec.name] = Replica(spec, Pod(spec), envoy)

    def notify(self) -> list[Envoy]:
        """Writes what has changed."""
        pods = [self._status(replica.spec) for replica in self.replicas.values()]
        files = Snapshot(self.resources, self.authority.root_pem).with_pods(pods).configuration()
        envoys = [(name, replica.sidecar) for name, replica in self.replicas.items()]
        return [envoy for name, envoy in envoys if envoy is not None and envoy.write(files[name])]

    def _status(self, spec: PodSpec) -> PodStatus:
        account = self.resources.spiffe_id(spec.deployment)
        return PodStatus(spec.deployment, spec.replica, spec.ip, tuple(spec.ports), account, is_ready=True)

    async def until_ready(self) -> None:
        """Returns once all are."""
        await until("all ready", lambda: all(replica.ready for replica in self.replicas.values()))

    async def call(self, caller: str, *, method: str = "Check") -> grpc.StatusCode:
        """The code with which a call from a caller's pod to callee ends."""
        return await check(Channels(self.folder(caller).short).open(f"callee:{PORT}"), method)

    def folder(self, pod: str) -> PodFolder:
        """Of a pod."""
        sidecar = self.replicas[pod].sidecar
        assert sidecar is not None
        return sidecar.folder


async def check(channel: grpc.aio.Channel, method: str = "Check") -> grpc.StatusCode:
    """The code with which a call of the health service ends; closes the channel."""
    async with channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = getattr(stub, method)(health_pb2.HealthCheckRequest(), timeout=10)
            await (answer.read() if method == "Watch" else answer)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


@asynccontextmanager
async def _pods(home: Path, *names: str, lifetime: dt.timedelta = LEAF_LIFETIME) -> AsyncIterator[Pods]:
    pods = Pods(home, f"127.{hash(str(home)) % 100 + 100}.{hash(str(home)) // 100 % 250}", lifetime)
    for name in names:
        workload, _, number = name.rpartition("-")
        pods.add(workload, int(number))
    pods.notify()
    for replica in pods.replicas.values():
        replica.start()
    try:
        await pods.until_ready()
        yield pods
    finally:
        await asyncio.gather(*(replica.stop() for replica in pods.replicas.values()))
        await pods.identities.stop()


async def test_only_who_is_allowed_gets_in(tmp_path: Path) -> None:
    """The allowed caller's allowed RPC is answered; another of its, and any of another pod's, is PERMISSION_DENIED."""
    async with _pods(tmp_path, "callee-0", "friend-0", "stranger-0") as pods:
        assert await pods.call("friend-0") is grpc.StatusCode.OK
        assert await pods.call("friend-0", method="Watch") is grpc.StatusCode.PERMISSION_DENIED
        assert await pods.call("stranger-0") is grpc.StatusCode.PERMISSION_DENIED


async def test_without_a_certificate_nobody_gets_in(tmp_path: Path) -> None:
    """Who dials the pod's address without a certificate is not let in; the app itself listens nowhere but there where
    only the home's owner may go."""
    async with _pods(tmp_path, "callee-0") as pods:
        spec = pods.replicas["callee-0"].spec
        code = await check(grpc.aio.insecure_channel(f"{spec.ip}:{PORT}"))
        folder = pods.folder("callee-0").path
        assert code is grpc.StatusCode.UNAVAILABLE
        assert {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*")) if path.is_dir()} == {0}


@asynccontextmanager
async def _calling(pods: Pods) -> AsyncIterator[list[grpc.StatusCode]]:
    """Four callers of friend-0 that call callee without a pause while the block runs; yields how the calls ended."""
    codes: list[grpc.StatusCode] = []
    over = asyncio.Event()

    async def calling() -> None:
        channel = Channels(pods.folder("friend-0").short).open(f"callee:{PORT}")
        async with channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            while not over.is_set():
                try:
                    await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
                    codes.append(grpc.StatusCode.OK)
                except grpc.aio.AioRpcError as error:
                    codes.append(error.code())

    callers = [asyncio.ensure_future(calling()) for _ in range(4)]
    try:
        yield codes
    finally:
        over.set()
        await asyncio.gather(*callers)


def _certificate(pods: Pods, pod: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((pods.folder(pod).certificates / "chain.pem").read_bytes())


async def test_no_call_fails_while_certificates_are_renewed(tmp_path: Path) -> None:
    """With certificates that live for 4 s and a handshake a call, calls go on beyond the life of the first two, by the
    same Envoys: not one fails."""
    async with _pods(tmp_path, "callee-0", "friend-0", lifetime=dt.timedelta(seconds=4)) as pods:
        first = _certificate(pods, "callee-0")
        end = first.not_valid_after_utc + dt.timedelta(seconds=2)
        async with _calling(pods) as codes:
            await until("the end of the first certificate", lambda: dt.datetime.now(dt.UTC) > end)
            after = len(codes)
            await until("20 more calls", lambda: len(codes) > after + 20)
        assert _certificate(pods, "callee-0").serial_number != first.serial_number
        assert [replica.sidecar.process.restarts for replica in pods.replicas.values() if replica.sidecar] == [0, 0]
        assert set(codes) == {grpc.StatusCode.OK}


async def test_no_call_fails_when_a_pod_goes(tmp_path: Path) -> None:
    """While calls come without a pause, one of two replicas is drained and ended: every call has its answer."""
    async with _pods(tmp_path, "callee-0", "callee-1", "friend-0") as pods:
        async with _calling(pods) as codes:
            await until("100 calls", lambda: len(codes) > 100)
            gone = pods.replicas.pop("callee-1")
            await asyncio.gather(*(envoy.settle() for envoy in pods.notify()))
            await gone.stop(drained=True)
            after = len(codes)
            await until("100 more calls", lambda: len(codes) > after + 100)
        assert set(codes) == {grpc.StatusCode.OK}
