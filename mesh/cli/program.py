"""Builds the `rostrum` command for an application, runs it, and turns every failure into a line and an exit code.

Knows the runtime's commands; those of an application are registered by it (`services.application`).
No failure that a user can cause ends in a traceback. One that should not happen does so only with ROSTRUM_DEBUG set;
otherwise it is one line too.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer
from typer.exceptions import TyperException

from mesh.cli import agents, configuration, laptop, lifecycle, process, resources, streams, tokens
from mesh.cli.exits import CommandError, Exit, exit_of, line_of
from mesh.cli.output import Output
from mesh.errors import RostrumError
from mesh.local.caller import as_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.cli.world import World


@dataclass(frozen=True)
class Application:
    """What an application adds to the command."""

    help: str
    """What `rostrum --help` says first."""
    first_command: str
    """What to do once it runs, such as 'debate "TOPIC"'."""
    register: Callable[[typer.Typer], None]
    """Adds its commands."""


def build(application: Application) -> typer.Typer:
    """Returns the command: the runtime's commands and the application's."""
    app = typer.Typer(
        name="rostrum",
        help=application.help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.command()(lifecycle.up)
    app.command()(lifecycle.down)
    app.command()(lifecycle.status)
    app.command()(lifecycle.logs)
    app.command()(lifecycle.scale)
    app.command()(resources.apply)
    app.command()(resources.delete)
    app.command()(resources.diff)
    app.command()(resources.get)
    app.command()(tokens.token)
    app.command()(configuration.config)
    application.register(app)
    app.command()(agents.ask)
    app.command()(agents.history)
    return app


def execute(app: typer.Typer, arguments: Sequence[str], world: World) -> Exit:
    """Runs one command and returns how it ended; says on stderr why, if it failed."""
    try:
        return Exit(app(list(arguments), prog_name="rostrum", standalone_mode=False, obj=world) or Exit.OK)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Exit.INTERRUPTED
    except Exception as error:
        if world.environ.get("ROSTRUM_DEBUG"):
            raise
        line, exit_code = explain(error)
        if line:
            world.output.error(line.replace("`rostrum ", f"`{world.program} "))
        return exit_code


def explain(error: Exception) -> tuple[str, Exit]:
    """Returns the line that a person reads of a failure, and the exit code it leads to."""
    match error:
        case CommandError():
            return str(error), error.exit_code
        case RostrumError():
            return line_of(error), exit_of(error)
        case TyperException():
            # Called without any command, Typer has shown its help by now, and raises with no message.
            context = getattr(error, "ctx", None)
            message = " ".join(error.format_message().split()).rstrip(".")
            line = f"{message}: see `{context.command_path if context else 'rostrum'} --help`"
            return (line if message else ""), Exit.USAGE
        case _:
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            return f"a fault of ours, {what}; ROSTRUM_DEBUG=1 shows where", Exit.FAILURE


def program_of(called: str, search_path: str, module: str) -> str:
    """Returns what a shell takes for this command again: its name if it is found by that, else its path, quoted."""
    file = Path(called)
    if "/" not in called or file.parent.resolve() in map(Path, search_path.split(os.pathsep)):
        return "rostrum"
    if file.name != "rostrum":
        return shlex.join(["python", "-m", module])
    try:
        near = os.path.relpath(file)
    except FileNotFoundError:  # the working folder
        near = called
    return shlex.join([near])


def main(application: Application, module: str) -> NoReturn:
    """Runs the command line of this process and exits. `module` is what `python -m` would run to come here.

    mesh.cli.process has prepared the process.
    """
    process.raise_at_signals()
    try:
        streams.limit_sizes(os.environ, streams.find_terminal())
        streams.open_streams()
        exit_code = _run(application, module)
    except KeyboardInterrupt:
        exit_code = Exit.INTERRUPTED
    finally:
        process.end_at_signals()
    sys.exit(exit_code)


def _run(application: Application, module: str) -> Exit:
    output = Output()
    try:
        world = laptop.world(
            os.environ, output, program_of(sys.argv[0], os.environ.get("PATH", ""), module), application.first_command
        )
    except RostrumError as error:
        output.error(line_of(error))
        return exit_of(error)
    arguments = [as_utf8(argument) or argument for argument in sys.argv[1:]]  # in a locale without UTF-8, too
    return execute(build(application), arguments, world)
