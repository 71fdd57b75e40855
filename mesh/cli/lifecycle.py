"""`rostrum up`, `down`, `status`, `logs` and `scale`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from mesh.cli import models, starting
from mesh.cli.arguments import Json
from mesh.cli.exits import CommandError, Exit
from mesh.cli.output import clean
from mesh.cli.world import World, run, world_of

if TYPE_CHECKING:
    from rostrum.local.v1 import runner_pb2

POLL_INTERVAL_SECONDS = 0.25
"""Between two looks at log files or at the runner, while someone watches."""

SIDECAR_LOG = ".envoy"
"""What the name of a sidecar's log has after its pod's."""

MAX_REPLICAS = 16
"""As runner.proto has it."""


def up(
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is ready and leave it running.")] = False,
    model: Annotated[
        str, typer.Option("--model", help="auto, embedded, embedded:SIZE, ollama:NAME or openai:NAME.")
    ] = models.AUTO,
    json: Json = False,
) -> None:
    """Start Rostrum on this machine: the broker, the models, the moderator and the agents."""
    run(_up(world_of(context), model, detach=detach, as_json=json))


def down(context: typer.Context) -> None:
    """Stop all that `rostrum up` started. What was debated stays."""
    world = world_of(context)
    stopped = run(_down(world))
    world.output.note("Rostrum is stopped" if stopped else f"nothing runs in {world.home}")


def status(context: typer.Context, json: Json = False) -> None:
    """Show every pod: its address, whether it is ready, how often it was restarted."""
    world = world_of(context)
    _show_status(world, run(world.running()), as_json=json)


def scale(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="AGENT=N", help="The agent and its replicas, such as team-a=2.")],
    json: Json = False,
) -> None:
    """Run N replicas of an agent or of the moderator."""
    world = world_of(context)
    name, _, number = target.partition("=")
    if not name or not number.isascii() or not number.isdigit() or int(number) > MAX_REPLICAS:
        raise CommandError(
            f"write AGENT=N with N from 0 to {MAX_REPLICAS}, such as team-a=2, not {target!r}", Exit.USAGE
        )
    _show_status(world, run(_scale(world, name, int(number))), as_json=json)


def logs(
    context: typer.Context,
    pod: Annotated[
        str,
        typer.Argument(
            metavar="[POD]", help="A pod, or all of a Deployment; POD.envoy is its sidecar's; every pod if not given."
        ),
    ] = "",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines are written.")] = False,
    tail: Annotated[int, typer.Option("--tail", min=0, help="The last so many lines of each pod.")] = 100,
) -> None:
    """Show what the pods wrote to their logs."""
    world = world_of(context)
    run(_logs(world, pod, tail, follow=follow))


async def _up(world: World, model: str, *, detach: bool, as_json: bool) -> None:
    status, started = await starting.ensure(world, model)
    try:
        _show_status(world, status, as_json=as_json)
        if detach or not started:
            if started:
                world.runner.leave_running()
            world.output.note(
                f"Next: `{world.program} {world.first_command}`; `{world.program} status`;"
                f" `{world.program} down` stops it"
                if started
                else f"it ran already: `{world.program} down` stops it"
            )
            return
        world.output.note("Ctrl-C stops it")
        await _wait_stopped(world)
        world.output.note("Rostrum was stopped")
    finally:
        if started and not detach:
            world.output.note("Stopping Rostrum")
            await world.runner.stop()


async def _wait_stopped(world: World) -> None:
    """Returns once another command has stopped it."""
    while True:
        await asyncio.sleep(POLL_INTERVAL_SECONDS * 4)
        if await world.runner.status() is None:
            return


async def _down(world: World) -> bool:
    with world.output.waiting() as waiting:
        waiting("stopping Rostrum")
        return await world.runner.stop()


async def _scale(world: World, deployment: str, replicas: int) -> runner_pb2.Status:
    await world.running()
    with world.output.waiting() as waiting:
        waiting(f"scaling {deployment} to {replicas}")
        return await world.runner.scale(deployment, replicas)


def _show_status(world: World, status: runner_pb2.Status, *, as_json: bool) -> None:
    if as_json:
        world.output.json(status)
        return
    rows = [
        (
            pod.name,
            "ready" if pod.ready else "not ready",
            str(pod.pid or "-"),
            ", ".join(pod.addresses) or "-",
            str(pod.restarts),
            _describe_sidecar(pod),
            _describe_age(pod),
            pod.message,
        )
        for pod in status.pods
    ]
    world.output.table(("POD", "STATE", "PID", "ADDRESSES", "RESTARTS", "SIDECAR", "AGE", "NOTE"), rows)
    world.output.note(f"Model: {status.model}. Home: {status.home}")
    for key_set in status.key_sets:
        if key_set.problem:
            world.output.note(f"Keys of {key_set.jwks_uri}: {key_set.problem}")
    if status.ingress:
        world.output.note(f"Ingress: http://{status.ingress} (`{world.program} token` issues what it asks for)")


def _describe_sidecar(pod: runner_pb2.Pod) -> str:
    if not pod.HasField("sidecar"):
        return "-"
    restarts = f", {pod.sidecar.restarts} restarts" if pod.sidecar.restarts else ""
    return f"{'ready' if pod.sidecar.ready else 'not ready'} ({pod.sidecar.pid or '-'}{restarts})"


def _describe_age(pod: runner_pb2.Pod) -> str:
    if not pod.HasField("start_time"):
        return "-"
    seconds = max(0, int(time.time() - pod.start_time.seconds))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"


async def _log_files(world: World, wanted: str) -> dict[str, Path]:
    """Returns the log files of the pods that are wanted, by pod: if nothing runs, of those that ran last."""
    status = await world.runner.status()
    if status is not None:
        files = {pod.name: (pod.deployment, Path(pod.log_file)) for pod in status.pods}
        logs = [Path(pod.sidecar.log_file) for pod in status.pods if pod.HasField("sidecar")]
        files.update({path.stem: ("", path) for path in logs})
    else:
        files = {path.stem: (path.stem.rpartition("-")[0], path) for path in sorted(world.home.glob("logs/*.log"))}
        if not files:
            await world.running()
    # A sidecar's log has a line for each call: it is shown to who asks for it.
    found = {
        name: path
        for name, (deployment, path) in files.items()
        if wanted == name or (wanted in {"", deployment} and not name.endswith(SIDECAR_LOG))
    }
    if not found:
        raise CommandError(f"no pod {wanted!r} here; there are: {', '.join(files)}", Exit.NOT_FOUND)
    return found


async def _logs(world: World, wanted: str, tail: int, *, follow: bool) -> None:
    files = await _log_files(world, wanted)
    tails = [_Tail(path, f"{name} | " if len(files) > 1 else "") for name, path in files.items()]
    try:
        for log in tails:
            for line in log.last(tail):
                world.output.raw(line)
        while follow:
            await asyncio.sleep(POLL_INTERVAL_SECONDS)
            for log in tails:
                for line in log.new():
                    world.output.raw(line)
    finally:
        for log in tails:
            log.close()


class _Tail:
    """One log file, read from its end on."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        self._stream: TextIO | None = None
        self._rest = ""

    def last(self, lines: int) -> list[str]:
        """Returns the last lines there are now."""
        return list(deque(self.new(), maxlen=lines))

    def new(self) -> list[str]:
        """Returns the whole lines written since the last look."""
        if self._stream is None:
            if not self._path.exists():
                return []
            self._stream = self._path.open(encoding="utf-8", errors="replace")
        *lines, self._rest = (self._rest + self._stream.read()).split("\n")
        return [self._prefix + clean(line) for line in lines]

    def close(self) -> None:
        """Lets go of the file."""
        if self._stream is not None:
            self._stream.close()
