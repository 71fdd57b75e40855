"""The frame of every service process: logs, telemetry, settings faults, signals, and an ordered start and stop.

A service's `__main__` calls `run(build)`, and has switched garbage collection off before it imports anything: what is
imported stays, and looking through it again and again takes a tenth of an import's time. `build` returns the parts in
the order in which they start; they stop in the opposite order. SIGTERM and SIGINT stop the process with exit code 0; a
start that fails ends it with 1 and one line.
The event loop is uvloop's: a turn costs less with it than with Python's own, whose callbacks and wake-ups are Python.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Protocol

import uvloop

from mesh.errors import RostrumError
from mesh.settings import SettingsError
from mesh.telemetry.logs import set_up_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while others want it. A turn passes some ten threads (Kafka's, the
store's, the loop's), and under load each would wait Python's default of 5 ms for the one that computes."""


GC_ALLOCATIONS = 20_000
"""Objects with references that may be made, less those that ended, before Python looks for circles among them. A turn
makes some hundred; Python's default of 700 looked every few turns and cost one twentieth of a turn."""


class Part(Protocol):
    """Something that is started and stopped with the process."""

    async def start(self) -> None:
        """Starts it; raises to end the process."""
        ...

    async def stop(self) -> None:
        """Stops it within seconds."""
        ...


class Build(Protocol):
    """A service's wiring."""

    def __call__(self, environ: Mapping[str, str]) -> Sequence[Part]:
        """Returns the parts in order of start. Called on the event loop. Raises SettingsError."""
        ...


def run(build: Build) -> None:
    """Runs a service until a signal ends it; leaves the process by sys.exit."""
    gc.disable()
    environ = dict(os.environ)
    sys.setswitchinterval(SWITCH_SECONDS)
    set_up_logs(environ.get("POD_NAME", environ.get("SERVICE_NAME", "?")))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(build, environ))
    except SettingsError as error:
        for fault in error.faults:
            log.error("settings: %s", fault)
        sys.exit(2)
    except (RostrumError, OSError, RuntimeError) as error:
        log.exception("could not run: %s", error)
        sys.exit(1)


async def serve(build: Build, environ: Mapping[str, str], *, ready: Callable[[], None] | None = None) -> None:
    """Starts the parts, waits for a signal, and stops those that were started. `ready` is called in between."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    started: list[Part] = []
    try:
        for part in build(environ):
            await part.start()
            started.append(part)
        _spare_garbage_collection()
        if ready is not None:
            ready()
        await stop.wait()
    finally:
        for part in reversed(started):
            await _stopped(part)


def _spare_garbage_collection() -> None:
    """What a start left is there until the end: never looked at again. The rest is looked at less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    gc.enable()


async def _stopped(part: Part) -> None:
    try:
        await part.stop()
    except Exception:  # the others must still be stopped
        log.exception("%s did not stop cleanly", type(part).__name__)
