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
    sidecars = {each.name: each for each in status.pods if each.HasField("sidecar")}
    if pod not in sidecars:
        raise CommandError(f"no pod {pod!r} has a sidecar here; there are: {', '.join(sidecars)}", Exit.NOT_FOUND)
    if istiod:
        found = _of_istiod(world, run(world.runner.mesh()), sidecars[pod].deployment)
    else:
        found = _given(Path(sidecars[pod].sidecar.folder))
    world.output.json({kind: found[kind]} if kind else found)


def _given(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {each: _resources(folder, each) for each in KINDS}
    found["bootstrap"] = json.loads((folder / "bootstrap.json").read_text("utf-8"))
    return found


def _resources(folder: Path, kind: str) -> list[Any]:
    """All resources of a kind, which are one file or a folder of them."""
    files = [folder / f"{kind}.json"] if (folder / f"{kind}.json").exists() else sorted((folder / kind).glob("*.json"))
    return [each for file in files for each in json.loads(file.read_text("utf-8"))["resources"]]


def _of_istiod(world: World, mesh: runner_pb2.Mesh, deployment: str) -> dict[str, Any]:
    """What each pod of this Deployment would get. Raises CommandError, MissingPartError."""
    # Not at the top: nothing else of the command asks istiod, and tokens bring cryptography.
    from mesh.istiod.generator import MESH_CONFIG, IstiodError, Places, running  # noqa: PLC0415
    from mesh.local import tokens  # noqa: PLC0415

    places = Places({f"{each.namespace}/{each.name}": tuple(each.ips) for each in mesh.workloads})
    with running(world.home / "logs", world.output.note) as istiod:
        try:
            answer = istiod.translate(
                {each.name: each.text for each in mesh.files},
                namespace=mesh.namespace, places=places, mesh_config=json.dumps(dict(MESH_CONFIG)),
                jwks={tokens.JWKS_URI: tokens.key_set(world.home)},
            )  # fmt: skip
        except IstiodError as error:
            raise CommandError(f"istiod refuses these manifests: {error}", Exit.FAILURE) from error
    found = answer[f"{mesh.namespace}/{deployment}"]
    return {each: list(getattr(found, each)) for each in KINDS_OF_ISTIOD}
