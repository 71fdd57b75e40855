"""RunnerService between a real server and the client that the command uses; the system behind it is a fake."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from rostrum.errors.v1 import error_reason_pb2
from rostrum.local.v1 import runner_pb2, runner_pb2_grpc

from mesh.errors import InternalError, InvalidArgumentError, RostrumError, UnknownAgentError
from mesh.local import client, errors, lock
from mesh.local.client import ROOT, LocalRunner
from mesh.local.errors import (
    AlreadyRunningError,
    CertificateError,
    ConfigurationRefusedError,
    LocalError,
    NotChangedError,
    NotRunningError,
    OtherVersionError,
    PortInUseError,
    StartupError,
)
from mesh.local.runner import Runner, server_of
from mesh.local.system import open_system
from mesh.manifests.errors import ManifestError
from mesh.rpc.status import UnreachableError, by_reason
from tests.support.waiting import until

CONTRACT = (ROOT / "protos" / "rostrum" / "local" / "v1" / "runner.proto").read_text("utf-8")


@dataclass
class FakeSystem:
    """Does nothing, or fails as it is asked to. `gate` holds a start back until it is set."""

    fault: BaseException | None = None
    gate: asyncio.Event | None = None
    report: Callable[[str], None] = lambda _: None
    started: list[tuple[str, str]] = field(default_factory=list)
    stopped: int = 0
    finished: list[str] = field(default_factory=list)

    def open(self, home: Any, root: Path, report: Callable[[str], None]) -> Any:
        self.report = report
        self.started.append((home.model, home.caller.get("SECRET", "")))
        return self

    async def start(self) -> None:
        self.report("preparing")
        self.report("waiting for team-a-0")
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault

    async def stop(self) -> None:
        self.stopped += 1

    def status(self) -> runner_pb2.Status:
        return runner_pb2.Status(model=self.started[-1][0], ready=True)

    def deployment(self, name: str) -> str | None:
        return name if name == "team-a" else None

    async def scale(self, deployment: str, replicas: int) -> None:
        await self.change(runner_pb2.ChangeResourcesRequest())

    async def change(self, request: runner_pb2.ChangeResourcesRequest) -> list[Any]:
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.finished.append("change")
        return []

    def list_resources(self, kind: str) -> list[Any]:
        raise ManifestError(f"There is no kind {kind!r}.")

    def mesh(self) -> runner_pb2.Mesh:
        return runner_pb2.Mesh(namespace="rostrum")


@dataclass
class Served:
    """A runner that is served, and the two sides of its socket."""

    runner: Runner
    system: FakeSystem
    client: LocalRunner
    stub: Any
    steps: list[str] = field(default_factory=list)

    async def start(self) -> runner_pb2.Status:
        """Asks for a start as the command does, once the process is there."""
        return await self.client._ask_to_start(os.getpid(), "openai:x", self.steps.append)


@asynccontextmanager
async def served(home: Path, system: FakeSystem, open_home: Any = None) -> AsyncIterator[Served]:
    lock.prepare(home)
    runner = Runner(home, open_home or system.open)
    server = server_of(runner)
    folder = os.open(home / "run", os.O_PATH)
    address = f"unix:/proc/self/fd/{folder}/runner.sock"
    server.add_insecure_port(address)
    await server.start()
    life = asyncio.ensure_future(runner.run())
    try:
        async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            environ = {"SECRET": "s3cret", "ROSTRUM_MANIFESTS": str(ROOT)}
            stub = runner_pb2_grpc.RunnerServiceStub(channel)
            yield Served(runner, system, LocalRunner(home, environ), stub)
    finally:
        runner.ask_to_stop()
        await life
        await server.stop(0)
        os.close(folder)


async def test_a_start_reports_its_steps_and_ends_with_the_status(tmp_path: Path) -> None:
    """Steps come as they are reported; the runner is given the model and the caller's variables by the call."""
    async with served(tmp_path, FakeSystem()) as here:
        status = await here.start()
        assert here.steps == ["preparing", "waiting for team-a-0"]
        assert (status.model, status.pid, status.ready) == ("openai:x", os.getpid(), True)
        assert here.system.started == [("openai:x", "s3cret")]
        assert here.system.stopped == 0
    assert here.system.stopped == 1


STARTS = [cls for cls in by_reason().values() if cls.__module__ in {errors.__name__, ManifestError.__module__}]


@pytest.mark.parametrize("cls", STARTS, ids=lambda cls: cls.__name__)
async def test_a_start_that_fails_says_why_and_ends_the_runner(tmp_path: Path, cls: type[RostrumError]) -> None:
    """Whatever class it is, it comes back as itself, with its message; nothing is left running."""
    system = FakeSystem(fault=cls("what is wrong: what to do", cause="x"))
    async with served(tmp_path, system) as here:
        with pytest.raises(cls, match="what is wrong: what to do") as caught:
            await here.start()
        assert type(caught.value) is cls
        assert caught.value.metadata == {"cause": "x"}
        async with asyncio.timeout(10):
            await here.runner._stopping.wait()
    assert system.stopped == 1


async def test_a_fault_of_ours_is_internal(tmp_path: Path) -> None:
    """A start that fails for what nobody thought of has an error id, and nothing of the inside."""
    async with served(tmp_path, FakeSystem(fault=KeyError("s3cret"))) as here:
        with pytest.raises(InternalError) as caught:
            await here.start()
        assert "s3cret" not in str(caught.value)
        assert caught.value.metadata["error_id"]


async def test_a_broken_authority_is_one_line_of_the_start(tmp_path: Path) -> None:
    """A CertificateError, which once escaped the runner, reaches the caller as itself."""
    async with served(tmp_path, FakeSystem(), open_system) as here:
        (tmp_path / "ca").mkdir(mode=0o700)
        (tmp_path / "ca" / "root.pem").write_text("no certificate", "utf-8")
        (tmp_path / "ca" / "key.pem").touch(mode=0o600)
        with pytest.raises(CertificateError, match=r"is no private key: remove .*ca and start again"):
            await here.start()


async def test_certificates_that_cannot_be_issued_fail_the_start(tmp_path: Path) -> None:
    """A KafkaUser whose name no certificate can have is refused by the start itself."""
    async with served(tmp_path, FakeSystem(fault=CertificateError("'' cannot be the name of a KafkaUser"))) as here:
        with pytest.raises(CertificateError, match="cannot be the name of a KafkaUser"):
            await here.start()


async def test_a_runner_starts_once_and_only_for_who_spawned_it(tmp_path: Path) -> None:
    """Another command's start is refused, before and after that of its own."""
    async with served(tmp_path, FakeSystem()) as here:
        with pytest.raises(AlreadyRunningError, match="`rostrum down` stops it"):
            await here.client._ask_to_start(os.getpid() + 1, "openai:y", here.steps.append)
        assert here.system.started == []
        await here.start()
        with pytest.raises(AlreadyRunningError):
            await here.start()
        assert (await here.client.status()) is not None


async def test_a_start_goes_on_when_the_caller_is_gone(tmp_path: Path) -> None:
    """The command may be killed: what it began is started whole, or not at all, and can be stopped meanwhile."""
    system = FakeSystem(gate=asyncio.Event())
    async with served(tmp_path, system) as here:
        call = here.stub.Start(runner_pb2.StartRequest(pid=os.getpid(), model="m", manifests="x"))
        assert (await call.read()).step == "preparing"
        call.cancel()
        assert system.gate is not None
        system.gate.set()

        async def runs() -> bool:
            return await here.client.status() is not None

        await until("it runs", runs)


async def test_a_start_under_way_can_be_stopped(tmp_path: Path) -> None:
    """`rostrum down` ends what has not come up yet; until then nothing else is answered."""
    system = FakeSystem(gate=asyncio.Event())
    async with served(tmp_path, system) as here:
        start = asyncio.ensure_future(here.start())
        await until("the first step", lambda: bool(here.steps))
        assert await here.client.status() is None
        for refused in (here.client.scale("team-a", 2), here.client.mesh(), here.client.resources("")):
            with pytest.raises(NotRunningError, match="still starting"):
                await refused
        with pytest.raises(NotRunningError):
            await here.client.change_resources(runner_pb2.ChangeResourcesRequest())
        assert await here.client.stop()
        with pytest.raises(NotRunningError, match="while it was starting"):
            await start
    assert system.stopped == 1


async def test_a_runner_that_nobody_asks_for_anything_ends(tmp_path: Path) -> None:
    """Whoever spawned it was killed before it could say what to start."""
    async with asyncio.timeout(10):
        await Runner(tmp_path, FakeSystem().open).run(order_seconds=0.01)


async def test_scale_refuses_what_there_is_not(tmp_path: Path) -> None:
    """An unknown Deployment and a wrong number have reasons of their own, and what failed its own."""
    async with served(tmp_path, FakeSystem()) as here:
        await here.start()
        with pytest.raises(UnknownAgentError, match="no Deployment 'nobody'"):
            await here.client.scale("nobody", 1)
        with pytest.raises(InvalidArgumentError, match="from 0 to 16") as caught:
            await here.client.scale("team-a", 17)
        assert caught.value.metadata["field"] == "replicas"
        here.system.fault = StartupError("team-a-1 is not ready.")
        with pytest.raises(StartupError, match="team-a-1 is not ready"):
            await here.client.scale("team-a", 2)


async def test_a_change_that_cannot_be_done_was_taken_back(tmp_path: Path) -> None:
    """What is wrong in a manifest comes as it is; what failed says too that nothing was changed, and why."""
    async with served(tmp_path, FakeSystem()) as here:
        await here.start()
        here.system.fault = ConfigurationRefusedError("team-b-0 refuses it.")
        with pytest.raises(NotChangedError, match=r"team-b-0 refuses it\. Nothing was changed\.") as caught:
            await here.client.change_resources(runner_pb2.ChangeResourcesRequest())
        assert caught.value.metadata == {"cause": "CONFIGURATION_REFUSED"}
        here.system.fault = ManifestError("x.yaml document 1: is wrong")
        with pytest.raises(ManifestError, match=r"^x\.yaml document 1: is wrong$"):
            await here.client.change_resources(runner_pb2.ChangeResourcesRequest())
        with pytest.raises(ManifestError, match="There is no kind 'x'"):
            await here.client.resources("x")


async def test_a_change_goes_on_when_the_caller_does_not_wait(tmp_path: Path) -> None:
    """An impatient caller leaves no change half done."""
    async with served(tmp_path, FakeSystem()) as here:
        await here.start()
        here.system.gate = asyncio.Event()
        call = here.stub.ChangeResources(runner_pb2.ChangeResourcesRequest())
        await until("a change under way", lambda: bool(here.runner._changes))
        call.cancel()
        here.system.gate.set()
        await until("the end of the change", lambda: bool(here.system.finished))


async def test_where_nothing_runs_there_is_nothing_to_stop(tmp_path: Path) -> None:
    """Neither in a home that never was, nor in one whose runner is gone."""
    runner = LocalRunner(tmp_path / "home", {})
    assert not await runner.stop()
    with pytest.raises(NotRunningError, match="does not run in"):
        await runner.scale("team-a", 1)
    lock.prepare(tmp_path / "home")
    assert not await runner.stop()
    with pytest.raises(UnreachableError):
        await runner.scale("team-a", 1)


async def _refuse_in_words(request: bytes, context: Any) -> bytes:
    """As a runner did before there were reasons."""
    await context.abort(grpc.StatusCode.NOT_FOUND, "There is no Deployment 'x' here.")
    raise AssertionError


async def test_a_runner_of_another_version_is_understood(tmp_path: Path) -> None:
    """Its text is shown, and what to do; so is what it does not know at all."""
    lock.prepare(tmp_path)
    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(_refuse_in_words)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("rostrum.local.v1.RunnerService", {"Scale": handler}),)
    )
    folder = os.open(tmp_path / "run", os.O_PATH)
    server.add_insecure_port(f"unix:/proc/self/fd/{folder}/runner.sock")
    await server.start()
    client = LocalRunner(tmp_path, {})
    try:
        with pytest.raises(OtherVersionError, match=r"There is no Deployment 'x' here\..*`rostrum down`"):
            await client.scale("x", 1)
        with pytest.raises(OtherVersionError, match="of another version of Rostrum"):
            await client.mesh()
    finally:
        await server.stop(0)
        os.close(folder)


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    """Who holds it is the runner; a file alone is nobody."""
    assert not lock.is_held(tmp_path)
    lock.prepare(tmp_path)
    assert not lock.is_held(tmp_path)
    held = lock.take(tmp_path)
    assert lock.is_held(tmp_path)
    with pytest.raises(AlreadyRunningError, match="`rostrum down` stops it"):
        lock.take(tmp_path)
    os.close(held)
    assert not lock.is_held(tmp_path)


def test_the_contract_names_every_reason_and_no_other() -> None:
    """What runner.proto says of errors is what the runner's classes are: none is left out, none is made up."""
    lines = " ".join(line.strip().removeprefix("//") for line in CONTRACT.splitlines())
    named = set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b", " ".join(re.findall(r"Errors:(.*?)Callers:", lines))))
    ours = {cls.reason for cls in STARTS} | {UnknownAgentError.reason, InvalidArgumentError.reason}
    assert named == ours
    assert named <= set(error_reason_pb2.ErrorReason.keys())


async def test_a_runner_says_that_it_serves_by_closing_its_output(tmp_path: Path) -> None:
    """The process takes the lock, serves, and ends when it is asked to; no order was given, so nothing was started."""
    runner = LocalRunner(tmp_path / "home", dict(os.environ))
    lock.prepare(runner.home)
    child = runner._spawn()
    assert child.stdout is not None
    try:
        assert await asyncio.to_thread(child.stdout.read) == b""
        assert lock.is_held(runner.home)
        with pytest.raises(NotRunningError):
            await runner.mesh()
        assert "s3cret" not in Path(f"/proc/{child.pid}/cmdline").read_text("utf-8")
        child.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(child.wait, 20) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert not lock.is_held(runner.home)
    assert not (runner.home / "run" / "runner.sock").exists()


async def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Before any process is spawned."""
    (tmp_path / "home").write_text("no folder", "utf-8")
    with pytest.raises(LocalError, match="Cannot write"):
        await LocalRunner(tmp_path / "home", {}).start("m", lambda _: None)


def test_a_port_in_use_keeps_its_class() -> None:
    """The table of reasons finds every class of the runner."""
    assert by_reason()["PORT_IN_USE"] is PortInUseError


async def test_a_runner_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`down` says which process holds the home and how to end it, where it said that nothing runs."""
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.2)
    runner = LocalRunner(tmp_path, {})
    held = lock.take(tmp_path)
    try:
        assert runner.is_held
        line = rf"process {os.getpid()}, does not answer: kill it with `kill -9 {os.getpid()}`"
        with pytest.raises(LocalError, match=line):
            await runner.stop()
    finally:
        os.close(held)
    assert not await runner.stop()
