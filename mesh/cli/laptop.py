"""Fills the seam of `world` with this machine: the runner of a home folder, and its services' loopback addresses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mesh.cli.world import World
from mesh.local.client import LocalRunner
from mesh.rpc.channels import Channels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc

    from mesh.cli.output import Output

PORT = 50051
"""gRPC port of every service; k8s/base has it in each Service."""


def home_of(environ: Mapping[str, str]) -> Path:
    """Returns the home folder: ROSTRUM_HOME, else .rostrum in the working folder."""
    return Path(environ.get("ROSTRUM_HOME") or ".rostrum").absolute()


def world(environ: Mapping[str, str], output: Output, program: str) -> World:
    """Returns the World of this process. Looks at nothing yet."""
    runner = LocalRunner(home_of(environ), environ)

    def dial(service: str) -> grpc.aio.Channel:
        return Channels(str(runner.hosts_file)).open(f"{service}:{PORT}")

    return World(environ=environ, home=runner.home, program=program, output=output, runner=runner, dial=dial)
