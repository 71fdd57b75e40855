"""Brings Rostrum up for a command: chooses the model, fetches what is missing, starts, and says what it does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from mesh.cli import models
from mesh.cli.exits import CommandError, Exit, line_of
from mesh.errors import RostrumError

if TYPE_CHECKING:
    from rostrum.local.v1 import runner_pb2

    from mesh.cli.world import World


OTHER_SECONDS = 120.0
"""Longest wait for a start or stop of another command; one that was killed leaves its start under way."""
POLL_INTERVAL_SECONDS = 0.2


async def _find_running(world: World) -> runner_pb2.Status | None:
    """Returns what runs here, once a start or stop that is under way has ended. Raises CommandError if it does not."""
    until = time.monotonic() + OTHER_SECONDS
    with world.output.waiting() as waiting:
        while (status := await world.runner.status()) is None and world.runner.is_held:
            waiting("another command's start or stop of Rostrum")
            if time.monotonic() > until:
                line = f"a start or stop is under way in {world.home} and does not end: `rostrum down` ends it"
                raise CommandError(line, Exit.FAILURE)
            await asyncio.sleep(POLL_INTERVAL_SECONDS)  # another process's start is no event of ours
    return status


async def ensure(world: World, model: str) -> tuple[runner_pb2.Status, bool]:
    """Returns the runner's status and whether this call started it. Raises CommandError.

    Raises CommandError (FAILURE) too when it runs already with another model than `model`.
    """
    status = await _find_running(world)
    if status is not None:
        world.say_what_was_left(status)
        if model != models.AUTO and not models.is_same(model, status.model):
            raise CommandError(
                f"Rostrum runs with {status.model} here, not {model}: `rostrum down` first, or leave out --model",
                Exit.FAILURE,
            )
        return status, False
    try:
        world.runner.demand_folders()
    except RostrumError as error:
        raise CommandError(line_of(error), Exit.USAGE) from error
    with world.output.waiting() as waiting:
        choice = await models.choose(model, world.environ, waiting)
    name = str(choice.model)
    world.output.note(f"Model: {name} ({choice.why})")
    try:
        named = world.runner.named_models()
    except RostrumError as error:
        raise CommandError(line_of(error), Exit.FAILURE) from error
    for model_name in dict.fromkeys((name, *named)):
        with world.output.waiting() as waiting:
            await models.check(model_name, world.environ, waiting)
        await models.bring(model_name, world.environ, world.output)
    with world.output.waiting() as waiting:
        waiting("starting Rostrum")
        try:
            return await world.runner.start(name, waiting), True
        except RostrumError as error:
            # That it did not come up is one exit code, whatever was wrong.
            raise CommandError(line_of(error), Exit.FAILURE) from error
