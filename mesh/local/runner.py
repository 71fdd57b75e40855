"""The supervising process of one home: starts the broker and the pods, answers RunnerService, and ends all of it.

`python -m mesh.local.runner` is started by `mesh.local.client` with a JSON object on its standard input (home, model,
manifests, the caller's variables). It prints progress as JSON lines on standard output, the last one {"ready": true}
or {"error": ..., "exit_code": ...}, and closes it. HOME/run/lock is held for its whole life: whoever holds the lock is
the runner, so a stale file never stands for one. Its children die with it by PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from rostrum.local.v1 import runner_pb2, runner_pb2_grpc

from mesh.local import broker, manifests
from mesh.local.addresses import Addresses, check_free, write_hosts
from mesh.local.errors import AlreadyRunningError, DiskFullError, LocalError, ManifestError, StartupError, disk_errors
from mesh.local.manifests import Deployment
from mesh.local.pods import Pod, PodSpec, failed_start

MIN_FREE_BYTES = 1024 * 1024
"""With less than this left, a start that failed did so for want of room, whatever part said so first."""
START_SECONDS = 180.0
"""Longest wait for all pods: a 1.1 GB model on a slow disk takes most of it."""

PASSED = ("OLLAMA_HOST", "OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "ROSTRUM_CACHE", "XDG_CACHE_HOME")
MACHINE = ("HOME", "LANG", "TMPDIR")
PREFIXES = ("OTEL_", "OPENBLAS_")
ROOT = Path(__file__).resolve().parents[2]


class Runner(runner_pb2_grpc.RunnerServiceServicer):
    """All of one home. `environ` is the caller's; a pod gets few of its variables."""

    def __init__(self, home: Path, model: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.home, self.model, self.environ = home, model, environ
        self.manifests = manifests.read(folder)
        self.addresses = Addresses(home)
        self.pods: dict[str, Pod] = {}
        self.stopping = asyncio.Event()
        self._changes = asyncio.Condition()
        self._scaling = asyncio.Lock()
        for name in self.manifests.deployments:
            self.addresses.pod(name, 0)
        cache = environ.get("ROSTRUM_CACHE")
        self.cache = Path(cache) if cache else Path.home() / ".cache" / "rostrum"
        self.bootstrap = environ.get("KAFKA_BOOTSTRAP_SERVERS", "")

    async def start(self) -> None:
        """Starts everything and returns once every pod is ready. Raises LocalError; the caller then stops."""
        try:
            await self._start()
        except StartupError as error:
            free = shutil.disk_usage(self.home).free
            if free >= MIN_FREE_BYTES:
                raise
            raise DiskFullError(f"The disk of {self.home} is full: free some space there and run it again.") from error

    async def _start(self) -> None:
        self._write_hosts()
        node = None if self.bootstrap else await self._open_broker()
        # All are started at once: a service is ready when broker and topics are there, and loads its code meanwhile.
        self._add([each for each in self.manifests.deployments.values() if self._is_wanted(each)])
        if node is not None:
            await self._start_broker(node)
            await self._until_ready(["kafka-0"], broker.START_SECONDS)
        report("making topics")
        await asyncio.to_thread(broker.make_topics, self.bootstrap, self.manifests.topics)
        await self._until_ready(list(self.pods), START_SECONDS)

    async def _open_broker(self) -> broker.BrokerNode:
        ip = self.addresses.broker
        check_free(ip, (broker.CLIENT_PORT, broker.CONTROLLER_PORT), "the broker")
        report("Kafka's jars")
        node = await broker.open_node(self.home / "kafka", ip, self.cache)
        if not node.has_archive:
            report("preparing Kafka's classes, once")
            await node.make_archive()
        self.bootstrap = node.bootstrap_servers
        return node

    async def _start_broker(self, node: broker.BrokerNode) -> None:
        await node.prepare()
        spec = PodSpec(
            "kafka", 0, node.ip, (node.client_port,), node.command, self._machine(), node.folder, self._log("kafka-0")
        )
        self._run(spec)

    def _is_wanted(self, deployment: Deployment) -> bool:
        return deployment.name != "model" or self.model.partition(":")[0] == "embedded"

    def _add(self, deployments: list[Deployment]) -> None:
        for each in deployments:
            for replica in range(each.replicas):
                self._run(self._spec(each, replica))

    def _run(self, spec: PodSpec) -> None:
        check_free(spec.ip, spec.ports, spec.name)
        self.pods[spec.name] = pod = Pod(spec, self._notify)
        pod.start()

    def _notify(self) -> None:
        async def tell() -> None:
            async with self._changes:
                self._changes.notify_all()

        self._telling = asyncio.ensure_future(tell())

    async def _until_ready(self, names: list[str], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._changes:
                while waiting := [self.pods[name] for name in names if not self.pods[name].ready]:
                    for pod in waiting:
                        if (error := failed_start(pod)) is not None:
                            raise StartupError(str(error))
                    report("waiting for " + ", ".join(pod.spec.name for pod in waiting))
                    await self._changes.wait()
        except TimeoutError:
            pod = next(self.pods[name] for name in names if not self.pods[name].ready)
            raise StartupError(f"{pod.spec.name} is not ready after {seconds:g} s: see {pod.spec.log_file}.") from None

    def _log(self, pod: str) -> Path:
        return self.home / "logs" / f"{pod}.log"

    def _machine(self) -> dict[str, str]:
        kept = {name: value for name, value in self.environ.items() if name in MACHINE or name.startswith("OPENBLAS_")}
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **kept}

    def _spec(self, deployment: Deployment, replica: int) -> PodSpec:
        ip = self.addresses.pod(deployment.name, replica)
        name = f"{deployment.name}-{replica}"
        command = [sys.executable if word == "python" else word for word in deployment.command]
        return PodSpec(
            deployment.name, replica, ip, tuple(deployment.ports.values()), command,
            self._environment(deployment, name, ip), ROOT, self._log(name),
            deployment.readiness, deployment.liveness, deployment.startup, min(deployment.grace_seconds, 10.0),
        )  # fmt: skip

    def _environment(self, deployment: Deployment, pod: str, ip: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in deployment.env_from:
            found.update(self.manifests.config_maps[source])
        own = {
            "POD_NAME": pod,
            "POD_IP": ip,
            "ROSTRUM_HOSTS_FILE": str(self.home / "run" / "hosts"),
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "DATABASE_URL": f"sqlite:///{self.home / 'stores' / deployment.name}.db",
            "MODEL": self.model,
        }
        for each in deployment.env:
            value = each.value
            if each.field_path:
                value = {"metadata.name": pod, "status.podIP": ip}[each.field_path]
            elif each.config is not None:
                value = self.manifests.config_maps[each.config[0]].get(each.config[1], "")
            elif each.secret is not None:
                if each.name not in own and each.name not in self.environ:
                    if each.optional:
                        continue
                    raise ManifestError(f"{deployment.name} needs the secret {each.name}: set it in the environment.")
                value = self.environ.get(each.name, "")
            found[each.name] = re.sub(r"\$\((\w+)\)", lambda match: {**own, **found}.get(match[1], match[0]), value)
        found.update(own)
        passed = {name: value for name, value in self.environ.items() if name in PASSED or name.startswith(PREFIXES)}
        return {**self._machine(), **{name: self._dialable(value) for name, value in found.items()}, **passed}

    def _dialable(self, value: str) -> str:
        """An http URL that names a Service gets the address of its first pod: HTTP clients read no hosts file."""

        def address(match: re.Match[str]) -> str:
            service = self.manifests.services.get(match[1])
            backing = [
                each for each in self.manifests.deployments.values()
                if service and service.selector.items() <= each.labels.items()
            ]  # fmt: skip
            return f"http://{self.addresses.pod(backing[0].name, 0)}:" if backing else match[0]

        return re.sub(r"http://([a-z0-9-]+):", address, value)

    def _write_hosts(self) -> None:
        counts = {name: each.replicas for name, each in self.manifests.deployments.items()}
        for pod in self.pods.values():
            if pod.spec.deployment in counts:
                counts[pod.spec.deployment] = max(counts[pod.spec.deployment], pod.spec.replica + 1)
        names: dict[str, list[str]] = {}
        for service in self.manifests.services.values():
            for each in self.manifests.deployments.values():
                if service.selector.items() <= each.labels.items():
                    ips = [self.addresses.pod(each.name, replica) for replica in range(counts[each.name])]
                    names.setdefault(service.name, []).extend(ips)
        write_hosts(self.home / "run" / "hosts", names)

    def status(self) -> runner_pb2.Status:
        """The state of every pod now."""
        status = runner_pb2.Status(home=str(self.home), pid=os.getpid(), model=self.model)
        for pod in sorted(self.pods.values(), key=lambda each: (each.spec.deployment, each.spec.replica)):
            spec = pod.spec
            row = status.pods.add(
                name=spec.name, deployment=spec.deployment, replica=spec.replica, pid=pod.mark.pid if pod.mark else 0,
                addresses=[f"{spec.ip}:{port}" for port in spec.ports], ready=pod.ready, restarts=pod.restarts,
                log_file=str(spec.log_file), message=pod.message,
            )  # fmt: skip
            if pod.mark is not None:
                row.start_time.FromMilliseconds(int(pod.start_time * 1000))
        status.ready = all(pod.ready for pod in self.pods.values())
        return status

    async def stop(self) -> None:
        """Stops the pods, then the broker."""
        await asyncio.gather(*(pod.stop() for name, pod in self.pods.items() if name != "kafka-0"))
        if "kafka-0" in self.pods:
            await self.pods["kafka-0"].stop()

    async def GetStatus(self, request: Any, context: Any) -> runner_pb2.Status:  # noqa: N802, D102 - the contract's name
        return self.status()

    async def Stop(self, request: Any, context: Any) -> runner_pb2.StopResponse:  # noqa: N802, D102
        self.stopping.set()
        return runner_pb2.StopResponse()

    async def Scale(self, request: runner_pb2.ScaleRequest, context: Any) -> runner_pb2.Status:  # noqa: N802, D102
        deployment = self.manifests.deployments.get(request.deployment)
        if deployment is None or not self._is_wanted(deployment):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"There is no Deployment {request.deployment!r} here.")
            raise AssertionError
        if not 0 <= request.replicas <= 16:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "replicas must be from 0 to 16.")
        async with self._scaling:
            new, gone = [], []
            for replica in range(16):
                name = f"{deployment.name}-{replica}"
                if replica < request.replicas and name not in self.pods:
                    self._run(self._spec(deployment, replica))
                    new.append(name)
                elif replica >= request.replicas and name in self.pods:
                    gone.append(self.pods.pop(name))
            self._write_hosts()
            await asyncio.gather(*(pod.stop() for pod in gone))
            try:
                await self._until_ready(new, START_SECONDS)
            except LocalError as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return self.status()


def report(step: str, **more: object) -> None:
    """Prints one line of progress; a caller that is gone is no reason to stop."""
    with suppress(OSError, ValueError):
        sys.stdout.write(json.dumps({"step": step, **more}) + "\n")
        sys.stdout.flush()


def take_lock(home: Path) -> int:
    """Makes the home's folders and holds its lock. Raises AlreadyRunningError."""
    with disk_errors(home):
        for name in ("run", "logs", "stores"):
            (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "run").chmod(0o700)
        lock = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise AlreadyRunningError(f"Rostrum runs already in {home}: `rostrum down` stops it.") from error
    return lock


async def _main(order: dict[str, Any]) -> None:
    home = Path(order["home"])
    take_lock(home)
    socket = home / "run" / "runner.sock"
    socket.unlink(missing_ok=True)
    runner = Runner(home, order["model"], Path(order["manifests"]), order["environ"])
    server = grpc.aio.server()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, runner.stopping.set)
    starting = asyncio.ensure_future(runner.start())
    asked = asyncio.ensure_future(runner.stopping.wait())
    try:
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            runner_pb2_grpc.add_RunnerServiceServicer_to_server(runner, server)
            # A socket's path has at most 107 bytes; the folder's own descriptor keeps any home below that.
            folder = os.open(home / "run", os.O_PATH)
            server.add_insecure_port(f"unix:/proc/self/fd/{folder}/runner.sock")
            await server.start()
            report("ready", ready=True)
            with open(os.devnull, "w") as nothing:  # noqa: PTH123, ASYNC230
                os.dup2(nothing.fileno(), 1)
            await asked
    finally:
        starting.cancel()
        with suppress(asyncio.CancelledError, LocalError):
            await starting
        await runner.stop()
        await server.stop(1.0)
        socket.unlink(missing_ok=True)


def main() -> int:
    """Reads the order from standard input and runs until asked to stop."""
    try:
        asyncio.run(_main(json.loads(sys.stdin.readline())))
    except LocalError as error:
        report("failed", error=str(error), exit_code=error.exit_code)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
