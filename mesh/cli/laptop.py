"""Fills the seam of `world` with this machine: the runner of a home folder, and its ingress as the way to services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.cli.world import World
from mesh.local.client import LocalRunner
from mesh.local.folders import absolute_path
from mesh.rpc.channels import through_ingress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import grpc

    from mesh.cli.output import Output

NOWHERE = "127.0.0.1:1"
"""Dialled where no ingress ever was: nothing listens there."""


def home_of(environ: Mapping[str, str]) -> Path:
    """Returns the home folder: ROSTRUM_HOME, else .rostrum in the working folder. Raises LocalError."""
    return absolute_path(environ.get("ROSTRUM_HOME") or ".rostrum")


def world(environ: Mapping[str, str], output: Output, program: str, first_command: str) -> World:
    """Returns the World of this process. Looks at nothing yet. Raises LocalError."""
    runner = LocalRunner(home_of(environ), environ)

    def dial(service: str) -> grpc.aio.Channel:
        return through_ingress(runner.ingress or NOWHERE, service, runner.token)

    return World(
        environ=environ,
        home=runner.home,
        program=program,
        first_command=first_command,
        output=output,
        runner=runner,
        dial=dial,
    )
