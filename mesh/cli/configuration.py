"""`rostrum config`: what a pod's Envoy was given, as it was given it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh.cli.exits import CommandError, Exit
from mesh.cli.world import run, world_of

KINDS = ("listeners", "clusters", "routes", "secrets")


def config(
    context: typer.Context,
    pod: Annotated[str, typer.Argument(metavar="POD", help="A pod, such as team-a-0 or ingress-0.")],
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help=f"Only one of: {', '.join(KINDS)}.")] = "",
) -> None:
    """Print the configuration of a pod's sidecar: Envoy's own resources, as JSON."""
    world = world_of(context)
    if kind not in {"", *KINDS}:
        raise CommandError(f"--kind must be one of {', '.join(KINDS)}, not {kind!r}", Exit.USAGE)
    status = run(world.running())
    folders = {each.name: Path(each.sidecar.folder) for each in status.pods if each.HasField("sidecar")}
    if pod not in folders:
        raise CommandError(f"no pod {pod!r} has a sidecar here; there are: {', '.join(folders)}", Exit.NOT_FOUND)
    found = {each: _resources(folders[pod], each) for each in ([kind] if kind else KINDS)}
    if not kind:
        found["bootstrap"] = json.loads((folders[pod] / "bootstrap.json").read_text("utf-8"))
    world.output.json(found)


def _resources(folder: Path, kind: str) -> list[Any]:
    """All resources of a kind, which are one file or a folder of them."""
    files = [folder / f"{kind}.json"] if (folder / f"{kind}.json").exists() else sorted((folder / kind).glob("*.json"))
    return [each for file in files for each in json.loads(file.read_text("utf-8"))["resources"]]
