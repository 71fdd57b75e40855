"""Its command, `rostrum sign`."""

from __future__ import annotations

from typing import Annotated

import typer

import tests.support.guestbook.errors  # noqa: F401 - a refusal comes back as its class, with what to do
from mesh.cli.program import Application
from mesh.cli.world import CALL_SECONDS, World, call, run, world_of
from tests.support.guestbook.names import GUESTS
from tests.support.guestbook.v1 import guestbook_pb2, guestbook_pb2_grpc


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(sign)


def sign(
    context: typer.Context,
    guest: Annotated[str, typer.Argument(help="Your name.")],
    text: Annotated[str, typer.Argument(help="What you write.")],
) -> None:
    """Sign the guestbook."""
    world = world_of(context)
    signed = run(_sign(world, guest, text))
    world.output.say(f"{signed.name} wrote: {signed.text}")


async def _sign(world: World, guest: str, text: str) -> guestbook_pb2.Guest:
    async with world.dial("guestbook") as channel:
        stub: guestbook_pb2_grpc.GuestbookServiceAsyncStub = guestbook_pb2_grpc.GuestbookServiceStub(channel)
        request = guestbook_pb2.SignRequest(name=GUESTS.name_of(guest), text=text)
        return await call(stub.Sign(request, timeout=CALL_SECONDS))


APPLICATION = Application(help="A guestbook on the mesh of Rostrum.", first_command="sign NAME TEXT", register=register)
