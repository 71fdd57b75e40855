"""Fills the seam of `world` with what runs on this machine: the runner of `mesh.local` and its services' addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.cli.output import Output
    from mesh.cli.world import World


def world(environ: Mapping[str, str], output: Output, program: str) -> World:
    raise NotImplementedError
