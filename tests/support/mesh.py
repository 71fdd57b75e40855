"""A mesh of tests: one real Envoy for each pod that some YAML texts declare, each before an app that answers anything.

The files are the translator's, the Envoys run as the runner runs them (mesh.local.envoy), identities come from an
authority of the mesh's own. Tests call sidecars' ports from outside as any process of the machine could
(tests.support.mesh_calls), or through a pod's own outbound sockets as its app would. Made by `running`.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mesh.local import envoy_files, identities
from mesh.local.addresses import Addresses as Networks
from mesh.local.certificates import Authority, Identity
from mesh.local.envoy import Envoy
from mesh.local.folders import PodFolder, outbound_socket
from mesh.local.pods import PodSpec
from mesh.manifests import names
from mesh.manifests.kubernetes import Workload
from mesh.sidecar.mesh import Mesh, MeshSettings
from mesh.sidecar.proxy import Addresses, Proxy
from mesh.sidecar.reading import load
from mesh.sidecar.translate import translate
from tests.support.mesh_apps import APPS, Script
from tests.support.waiting import until

START_SECONDS = 30.0
"""An Envoy takes 0.1 s; a machine that does much else, longer."""
DNS_NAME = "sidecar.test"
"""A second name of each sidecar, which only clients that insist on one (gRPC) look at."""
_DRAINING = re.compile(r"^listener_manager\.total_(listeners|filter_chains)_draining: [1-9]", re.MULTILINE)
T = TypeVar("T")
RUNNING: list[RunningMesh] = []
"""Those that run now, for what a failing test says."""


@dataclass
class PodOfTests:
    """A pod: its Envoy and its app's places."""

    workload: Workload
    replica: int
    ip: str
    folder: PodFolder
    envoy: Envoy

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.envoy.process.spec.name

    def outbound(self, port: int) -> str:
        """The socket at which its app calls this port of others."""
        return f"{self.folder.short}/{outbound_socket(port)}"

    def log(self) -> str:
        """All that its Envoy said."""
        return self.envoy.process.spec.log_file.read_text("utf-8", errors="replace")

    def accesses(self) -> list[dict[str, Any]]:
        """Its access log."""
        found = [json.loads(line) for line in self.log().splitlines() if line.startswith("{") and line.endswith("}")]
        return [access for access in found if "response_code" in access]


@dataclass
class RunningMesh:
    """Envoys and apps of one set of texts. Used from the test's thread; Envoys live in a loop of another one."""

    home: Path
    namespace: str
    settings: MeshSettings
    authority: Authority
    script: Script = field(default_factory=Script)
    pods: dict[str, PodOfTests] = field(default_factory=dict)
    """By name, such as "team-a-0"."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    addresses: Addresses = field(default_factory=lambda: Addresses({}))

    def pod(self, workload: str, replica: int = 0) -> PodOfTests:
        """The pod of that workload."""
        return self.pods[f"{workload}-{replica}"]

    def identity(self, account: str, **how: Any) -> Identity:
        """A certificate of a ServiceAccount of this mesh; `how` as of Authority.issue."""
        return self.authority.issue(f"spiffe://cluster.local/ns/{self.namespace}/sa/{account}", **how)

    def apply(self, texts: Mapping[str, str]) -> None:
        """Makes other texts active in the same pods, and returns once every Envoy has them."""
        mesh = load(texts, self.settings, self.namespace)
        for pod in self.pods.values():
            pod.workload = mesh.workloads[pod.workload.key]
            pod.envoy.write(_files(mesh, pod, self))
        self.run(self._settled())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that concerns Envoys."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def logs(self) -> Iterator[tuple[str, str]]:
        """The end of each Envoy's log."""
        for name, pod in self.pods.items():
            yield name, pod.log()[-4000:]

    async def _settled(self) -> None:
        """Everything is active, also for connections that were there before: those are gone."""
        for pod in self.pods.values():
            await pod.envoy.settle()
            await until(f"the end of {pod.name}'s old connections", partial(_is_drained, pod.envoy))

    async def _start(self) -> None:
        for pod in self.pods.values():
            pod.envoy.process.start()
        await until(lambda: f"all ready\n{self._late_logs()}", self._is_ready, seconds=START_SECONDS)

    def _is_ready(self) -> bool:
        """Whether all Envoys are; fails the test at once when one of them never will be."""
        late = [pod for pod in self.pods.values() if not pod.envoy.process.ready]
        refusals = [pod.envoy.refusal for pod in late if pod.envoy.refusal]
        assert not refusals, "\n".join(refusals)
        assert not any(pod.envoy.process.restarts for pod in late), self._late_logs()
        return not late

    def _late_logs(self) -> str:
        late = [pod for pod in self.pods.values() if not pod.envoy.process.ready]
        return "\n".join(f"{pod.name} is not ready:\n{pod.log()[-2000:]}" for pod in late)

    async def _stop(self) -> None:
        await asyncio.gather(*(pod.envoy.process.stop() for pod in self.pods.values()))


@contextmanager
def running(
    texts: Mapping[str, str], *, namespace: str = "shop", settings: MeshSettings | None = None
) -> Iterator[RunningMesh]:
    """Yields the mesh of these texts once every Envoy serves; all of it is gone afterwards."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-")))
        settings = settings or MeshSettings()
        mesh = load(texts, settings, namespace)
        running = RunningMesh(home, namespace, settings, Authority.open(home / "authority"))
        _add_pods(running, mesh, stack)
        stack.enter_context(_in_thread(running.loop))
        stack.callback(lambda: running.run(running._stop()))
        running.run(running._start())
        _add_apps(running, mesh, stack)  # after all processes: gRPC does not like a fork
        RUNNING.append(running)
        stack.callback(RUNNING.remove, running)
        yield running


@contextmanager
def _in_thread(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    thread = threading.Thread(target=loop.run_forever, name="mesh of tests")
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _add_pods(running: RunningMesh, mesh: Mesh, stack: ExitStack) -> None:
    networks, logs = Networks(running.home), running.home / "logs"
    logs.mkdir()
    ips = {
        workload.key: tuple(networks.pod(".".join(workload.key), number) for number in range(workload.replicas))
        for workload in mesh.workloads.values()
    }
    running.addresses = Addresses(ips)
    for workload in mesh.workloads.values():
        for number, ip in enumerate(ips[workload.key]):
            name = f"{workload.name}-{number}"
            folder = PodFolder(running.home, name)
            stack.callback(folder.close)
            spec = PodSpec(workload.name, number, ip, (), (), {}, running.home, logs / f"{name}.app.log")
            envoy = Envoy(spec, folder, logs / f"{name}.log")
            envoy.process.spec.log_file.touch()
            envoy.process.spec = replace(envoy.process.spec, command=_quick(envoy.process.spec.command))
            pod = PodOfTests(workload, number, ip, folder, envoy)
            request = identities.CertificateRequest(
                folder.certificates,
                names.spiffe_id(workload.namespace, workload.service_account, mesh.settings.trust_domain),
                dns=(DNS_NAME,),
            )
            identities.write(running.authority, request)
            envoy.write(_files(mesh, pod, running))
            running.pods[name] = pod


def _quick(command: Sequence[str]) -> list[str]:
    """Logs at once, and connections that know old policies end at once, in the place of a second later."""
    found = list(command)
    for option, value in {"--file-flush-interval-msec": "20", "--drain-time-s": "0"}.items():
        found[found.index(option) + 1] = value
    return found


def _files(mesh: Mesh, pod: PodOfTests, running: RunningMesh) -> dict[str, str]:
    """All files of one Envoy."""
    proxy = _proxy(mesh, pod)
    return envoy_files.files(pod.name, proxy, translate(mesh, proxy, running.addresses), running.authority.root_pem)


def _proxy(mesh: Mesh, pod: PodOfTests) -> Proxy:
    return envoy_files.proxy(mesh, pod.workload, pod.ip, {port: port for port in _targets(mesh, pod.workload)})


def _targets(mesh: Mesh, workload: Workload) -> dict[int, str]:
    """The pod's ports, and which app is to stand there."""
    found = dict.fromkeys(workload.ports.values(), "http")
    for service in mesh.services_of(workload):
        for port in service.ports:
            number = workload.target_port(port)
            if number is not None:
                kind = "grpc" if port.protocol.is_http2 else "http" if port.protocol.is_http else "tcp"
                found[number] = kind
    return found


def _add_apps(running: RunningMesh, mesh: Mesh, stack: ExitStack) -> None:
    for pod in running.pods.values():
        if _proxy(mesh, pod).is_gateway:
            continue
        for port, kind in _targets(mesh, pod.workload).items():
            app = APPS[kind](running.script, pod.name, port, pod.folder.app_socket(port))
            stack.callback(app.stop)


async def _is_drained(envoy: Envoy) -> bool:
    return not _DRAINING.search(await envoy.ask("GET", "/stats?filter=draining$"))


def refuses_connections(ip: str, port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((ip, port)) != 0
