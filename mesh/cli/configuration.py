"""`rostrum config`: what a pod's Envoy was given, as it was given it, or what istiod would give it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.exits import CommandError, Exit
from mesh.cli.world import run, world_of

if TYPE_CHECKING:
    from rostrum.local.v1 import runner_pb2

    from mesh.cli.world import World

KINDS = ("listeners", "clusters", "routes", "secrets")
KINDS_OF_ISTIOD = ("listeners", "clusters", "routes", "endpoints")
"""Its endpoints are no part of its clusters, and it says only the names of secrets."""


def config(
    context: typer.Context,
    pod: Annotated[str, typer.Argument(metavar="POD", help="A pod, such as team-a-0 or ingress-0.")],
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help=f"Only one of: {', '.join(KINDS)}.")] = "",
    istiod: Annotated[
        bool, typer.Option("--istiod", help="What istiod would send to it for the same manifests. Needs Go, once.")
    ] = False,
) -> None:
    """Print the configuration of a pod's sidecar: Envoy's own resources, as JSON."""
    world = world_of(context)
    kinds = KINDS_OF_ISTIOD if istiod else KINDS
    if kind not in {"", *kinds}:
        raise CommandError(f"--kind must be one of {', '.join(kinds)}, not {kind!r}", Exit.USAGE)
    status = run(world.running())
    sidecars = {found.name: found for found in status.pods if found.HasField("sidecar")}
    if pod not in sidecars:
        raise CommandError(f"no pod {pod!r} has a sidecar here; there are: {', '.join(sidecars)}", Exit.NOT_FOUND)
    if istiod:
        found = _ask_istiod(world, run(world.runner.mesh()), sidecars[pod].deployment)
    else:
        found = _read_given(Path(sidecars[pod].sidecar.folder))
    world.output.json({kind: found[kind]} if kind else found)


def _read_given(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {kind: _read_resources(folder, kind) for kind in KINDS}
    found["bootstrap"] = json.loads((folder / "bootstrap.json").read_text("utf-8"))
    return found


def _read_resources(folder: Path, kind: str) -> list[Any]:
    """Returns all resources of a kind, which are one file or a folder of them."""
    files = [folder / f"{kind}.json"] if (folder / f"{kind}.json").exists() else sorted((folder / kind).glob("*.json"))
    return [resource for file in files for resource in json.loads(file.read_text("utf-8"))["resources"]]


def _ask_istiod(world: World, mesh: runner_pb2.Mesh, deployment: str) -> dict[str, Any]:
    """Returns what each pod of this Deployment would get. Raises CommandError, MissingPartError."""
    # Not at the top: nothing else of the command asks istiod.
    from mesh.istiod.generator import MESH_CONFIG, IstiodError, Places, running  # noqa: PLC0415

    places = Places({f"{workload.namespace}/{workload.name}": tuple(workload.ips) for workload in mesh.workloads})
    with running(world.home / "logs", world.output.note) as istiod:
        try:
            answer = istiod.translate(
                {file.name: file.text for file in mesh.files},
                namespace=mesh.namespace, places=places, mesh_config=json.dumps(dict(MESH_CONFIG)),
                jwks=dict(mesh.jwks),
            )  # fmt: skip
        except IstiodError as error:
            raise CommandError(f"istiod refuses these manifests: {error}", Exit.FAILURE) from error
    found = answer[f"{mesh.namespace}/{deployment}"]
    return {kind: list(getattr(found, kind)) for kind in KINDS_OF_ISTIOD}
