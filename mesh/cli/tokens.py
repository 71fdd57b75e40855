"""`rostrum token`: a token for the ingress, for curl, grpcurl and stubs."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from mesh.cli.exits import CommandError, Exit
from mesh.cli.world import world_of

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TTL = re.compile(r"(\d{1,9})([smhd])")


def token(
    context: typer.Context,
    role: Annotated[str, typer.Option("--role", help="viewer may read; operator may also start and cancel.")] = (
        "operator"
    ),
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="How long it is good for: 90s, 15m, 1h, 7d.")] = (
        "1h"
    ),
) -> None:
    """Print a token for the ingress: `curl -H "Authorization: Bearer $(rostrum token)" ...`."""
    from mesh.local import tokens  # noqa: PLC0415 - 40 ms that other commands need not pay

    world = world_of(context)
    known = next((known for known in tokens.ROLES if known == role), None)
    if known is None:
        raise CommandError(f"--role must be one of {', '.join(tokens.ROLES)}, not {role!r}", Exit.USAGE)
    world.output.raw(tokens.issue(world.home, known, _seconds(ttl, tokens.MAX_SECONDS)))


def _seconds(ttl: str, most: float) -> float:
    match = _TTL.fullmatch(ttl)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= most:
        days = int(most // 86_400)
        raise CommandError(f"--ttl must be a time such as 90s, 15m, 1h or 7d, at most {days}d, not {ttl!r}", Exit.USAGE)
    return float(seconds)
