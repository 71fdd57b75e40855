"""The seam between the commands and what they command: the runner of this home folder, and the services it runs.

`World` is what every command gets. `mesh.cli.laptop` fills it with the real runner and channels; tests fill it with
in-process services. Nothing here does any work.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import grpc
from rostrum.agent.v1 import agent_service_pb2_grpc

from mesh.cli import process
from mesh.cli.exits import CommandError, Exit
from mesh.rpc import status as rpc_status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    import typer
    from rostrum.local.v1 import runner_pb2

    from mesh.cli.output import Output

T = TypeVar("T")

AGENT = "agent"
"""What the label app.kubernetes.io/component of an agent's Deployment says."""

CALL_SECONDS = 15.0
"""Time for a call that only reads or writes a store."""


class Runner(Protocol):
    """What runs the pods of one home folder. Every method may raise CommandError or RostrumError."""

    async def status(self) -> runner_pb2.Status | None:
        """Returns every pod and its state, or None if nothing runs in this home folder."""
        ...

    def named_models(self) -> Sequence[str]:
        """Returns the models that manifests name for single Deployments, beside the one that is started with."""
        ...

    def demand_folders(self) -> None:
        """Raises RostrumError if the environment names a folder that cannot be used."""
        ...

    async def start(self, model: str, report: Callable[[str], None]) -> runner_pb2.Status:
        """Starts all pods until they are ready; `report` gets what is waited for. If it fails, nothing stays."""
        ...

    async def scale(self, deployment: str, replicas: int) -> runner_pb2.Status:
        """Sets the replicas of a Deployment and returns once they are ready or gone."""
        ...

    async def change_resources(self, request: runner_pb2.ChangeResourcesRequest) -> runner_pb2.ChangeResourcesResponse:
        """Makes Istio resources active, or takes them out, everywhere or nowhere."""
        ...

    async def resources(self, kind: str) -> runner_pb2.ListResourcesResponse:
        """Returns Istio's active resources; of all kinds if `kind` is empty."""
        ...

    async def mesh(self) -> runner_pb2.Mesh:
        """Returns the active manifests and where pods are."""
        ...

    @property
    def is_held(self) -> bool:
        """Whether anything runs in this home folder, starts or stops, or hangs."""
        ...

    @property
    def killed_starter(self) -> int:
        """The process of the command that was to stop what runs here, if it was killed instead; else 0."""
        ...

    def leave_running(self) -> None:
        """Says that what this command started goes on when it ends."""
        ...

    async def stop(self) -> bool:
        """Stops all and returns once it is gone: True, or False if nothing ran."""
        ...


@dataclass(frozen=True)
class World:
    """Everything a command may touch."""

    environ: Mapping[str, str]
    home: Path
    program: str
    """How the user would call this command again, such as "rostrum" or ".venv/bin/rostrum"."""
    first_command: str
    """What the application is for: the command that is suggested once it runs, such as 'debate "TOPIC"'."""
    output: Output
    runner: Runner
    dial: Callable[[str], grpc.aio.Channel]
    """Opens a channel to a service by its name, such as "moderator"."""

    async def running(self) -> runner_pb2.Status:
        """Returns the runner's status. Raises CommandError (NOT_RUNNING) if nothing runs."""
        status = await self.runner.status()
        if status is None and self.runner.is_held:
            raise CommandError(
                f"Rostrum starts or stops in {self.home} right now: try again in a moment, or `rostrum down` ends it",
                Exit.NOT_RUNNING,
            )
        if status is None:
            raise CommandError(
                f"Rostrum does not run in {self.home}: `rostrum up --detach` starts it", Exit.NOT_RUNNING
            )
        self.say_what_was_left(status)
        return status

    def say_what_was_left(self, status: runner_pb2.Status) -> None:
        """Says so if the command that started all this was killed, and could not stop it."""
        if pid := self.runner.killed_starter:
            self.output.note(
                f"A command that was killed (process {pid}) had started this: {len(status.pods)} pods and the runner,"
                f" process {status.pid}, still run; `{self.program} down` stops them"
            )

    @asynccontextmanager
    async def agent(self, name: str) -> AsyncIterator[agent_service_pb2_grpc.AgentServiceAsyncStub]:
        """Yields the stub of one agent, after a look whether there is one. Raises CommandError."""
        status = await self.running()
        agents = agents_of(status)
        if name not in agents:
            known = ", ".join(agents) or "none"
            raise CommandError(f"no agent {name!r} runs here; there are: {known}", Exit.NOT_FOUND)
        async with self.dial(name) as channel:
            yield agent_service_pb2_grpc.AgentServiceStub(channel)


def agents_of(status: runner_pb2.Status) -> list[str]:
    """Returns the Deployments whose label says that they are agents. Raises CommandError if none has such a label."""
    if status.pods and not any(pod.component for pod in status.pods):
        raise CommandError(
            "what runs here does not say which of it are agents: `rostrum down`, and start it again", Exit.FAILURE
        )
    return sorted({pod.deployment for pod in status.pods if pod.component == AGENT})


def world_of(context: typer.Context) -> World:
    """Returns the World that `main` put into Typer's context."""
    world = context.obj
    assert isinstance(world, World)  # noqa: S101 - narrows Typer's Any; main always sets it
    return world


async def call(answer: Awaitable[T]) -> T:
    """Awaits an RPC and turns its failure into a RostrumError."""
    try:
        return await answer
    except grpc.aio.AioRpcError as error:
        raise rpc_status.from_rpc_error(error) from error


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine; Ctrl-C, SIGTERM and a closed terminal cancel it, so that its `finally` blocks run.

    Once: they end what the command started, which more signals, such as a second Ctrl-C, must not leave half done.
    """

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio.run made one
        is_cancelled = False

        def cancel_once() -> None:
            nonlocal is_cancelled
            if not is_cancelled:
                is_cancelled = True
                task.cancel()

        for number in process.heeded():
            asyncio.get_running_loop().add_signal_handler(number, cancel_once)
        return await work

    try:
        return asyncio.run(main())
    finally:
        process.raise_at_signals()
