"""`rostrum apply`, `delete`, `diff` and `get`: Istio's resources in the running mesh, as kubectl would have it."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rostrum.local.v1 import runner_pb2

from mesh.cli.arguments import Json
from mesh.cli.exits import CommandError, Exit
from mesh.cli.world import run, world_of

if TYPE_CHECKING:
    from mesh.cli.world import World

Files = Annotated[
    list[str],
    typer.Option(
        "-f",
        "--filename",
        metavar="FILE|DIR|-",
        help="A YAML file, a folder of them, or - for the standard input. Repeatable.",
    ),
]
STDIN = "-"
_WORDS = {
    runner_pb2.ResourceChange.CREATED: "created",
    runner_pb2.ResourceChange.CONFIGURED: "configured",
    runner_pb2.ResourceChange.UNCHANGED: "unchanged",
    runner_pb2.ResourceChange.DELETED: "deleted",
}


def apply(context: typer.Context, filename: Files) -> None:
    """Bring Istio resources into force in every sidecar: all of them or none, without a restart."""
    _change(world_of(context), filename, delete=False)


def delete(context: typer.Context, filename: Files) -> None:
    """Take the Istio resources that these files name out of force."""
    _change(world_of(context), filename, delete=True)


def diff(context: typer.Context, filename: Files) -> None:
    """Show what `apply` would change. Nothing is changed."""
    world = world_of(context)
    request = runner_pb2.ChangeResourcesRequest(files=_read_files(filename), dry_run=True)
    for change in run(_request_change(world, request)).changes:
        name = _name(change.resource)
        for line in difflib.unified_diff(
            change.before.splitlines(), change.after.splitlines(), f"active {name}", f"asked for {name}", lineterm=""
        ):
            world.output.raw(line)


def get(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help="Such as VirtualService; all if left out.")] = "",
    json: Json = False,
) -> None:
    """List the active Istio resources, and since when and where from: of two for one host the oldest is obeyed.

    --json has them whole.
    """
    world = world_of(context)
    found = run(_list_resources(world, kind))
    if json:
        world.output.json(found)
        return
    if not found.resources:
        world.output.note(f"no active {kind or 'resources'}")
        return
    rows = [
        (resource.kind, resource.namespace, resource.name, _age(resource), resource.source)
        for resource in found.resources
    ]
    world.output.table(("KIND", "NAMESPACE", "NAME", "CREATED", "FROM"), rows)


async def _request_change(
    world: World, request: runner_pb2.ChangeResourcesRequest
) -> runner_pb2.ChangeResourcesResponse:
    await world.running()
    return await world.runner.change_resources(request)


async def _list_resources(world: World, kind: str) -> runner_pb2.ListResourcesResponse:
    await world.running()
    return await world.runner.resources(kind)


def _change(world: World, filename: list[str], *, delete: bool) -> None:
    request = runner_pb2.ChangeResourcesRequest(files=_read_files(filename), delete=delete)
    with world.output.waiting() as waiting:
        waiting("asking every sidecar")
        done = run(_request_change(world, request))
    for change in done.changes:
        world.output.say(f"{_name(change.resource)} {_WORDS[change.action]}")
    world.output.note(f"active in every sidecar after {done.in_force_milliseconds} ms")


def _name(resource: runner_pb2.Resource) -> str:
    return f"{resource.kind.lower()}/{resource.name}"


def _age(resource: runner_pb2.Resource) -> str:
    """When it was applied first; what the files hold is older than all that was applied."""
    return resource.create_time.ToJsonString() if resource.HasField("create_time") else "before all"


def _read_files(filename: list[str]) -> list[runner_pb2.ManifestFile]:
    found = []
    if filename.count(STDIN) > 1:
        raise CommandError("the standard input can be read once: give one -f -", Exit.USAGE)
    for name in filename:
        if name == STDIN:
            found.append(runner_pb2.ManifestFile(name="stdin", text=_read_stdin()))
            continue
        path = Path(name)
        files = _list_files(path) if path.is_dir() else [path]
        if not files:
            raise CommandError(f"there is no .yaml file in {name}: name a file, or a folder that has some", Exit.USAGE)
        for file in files:
            try:
                found.append(runner_pb2.ManifestFile(name=str(file), text=file.read_text("utf-8")))
            except OSError as error:
                raise CommandError(f"{file} cannot be read: {error.strerror}: name a YAML file", Exit.USAGE) from error
            except UnicodeDecodeError as error:
                raise CommandError(f"{file} is no text in UTF-8: name a YAML file", Exit.USAGE) from error
    return found


def _list_files(folder: Path) -> list[Path]:
    return sorted(file for ending in ("yaml", "yml", "json") for file in folder.rglob(f"*.{ending}"))


def _read_stdin() -> str:
    """All of the standard input. A terminal is read, too, as kubectl does, until Ctrl-D."""
    if sys.stdin is None or sys.stdin.closed:
        raise CommandError("the standard input is closed: name a YAML file", Exit.USAGE)
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError("the standard input is no text in UTF-8: give it YAML", Exit.USAGE) from error
    except OSError as error:
        raise CommandError(f"the standard input cannot be read: {error.strerror}: name a file", Exit.USAGE) from error
    if not text.strip():
        raise CommandError("the standard input is empty: give it YAML", Exit.USAGE)
    return text
