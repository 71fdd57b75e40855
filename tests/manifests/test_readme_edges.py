"""The README's table of who may do what is the manifests', row by row."""

from __future__ import annotations

from tests.manifests.sources import ROOT, allowed
from tests.support.edges import BROKER, OUTSIDE, Edge

HEAD = "| caller | callee | may | with a token of |\n|---|---|---|---|\n"


def _name(edge: Edge) -> str:
    if edge.callee == BROKER:
        return f"{edge.verb} `{edge.target}`"
    if edge.target.startswith("/grpc."):
        return "health" if "health" in edge.target else "reflection"
    name = edge.target.rsplit("/", 1)[-1] if "." in edge.target else edge.target
    return f"`{name}`"


def _rows() -> list[str]:
    grouped: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for edge in allowed():
        if edge.caller != OUTSIDE:
            grouped.setdefault((edge.caller, edge.callee, edge.roles), []).append(_name(edge))
    return [
        f"| {caller} | {callee} | {', '.join(dict.fromkeys(names))} | {' or '.join(roles) or '-'} |"
        for (caller, callee, roles), names in grouped.items()
    ]


def test_the_table_is_the_manifests() -> None:
    """Each allowed edge has its place in the table, and nothing else has; copy the rows from here when they change."""
    shown = (ROOT / "README.md").read_text("utf-8").split(HEAD)[1].split("\n\n")[0].splitlines()
    rows = _rows()
    missing, extra = [row for row in rows if row not in shown], [row for row in shown if row not in rows]
    assert shown == rows, "\n".join(["README lacks:", *missing, "and has too many:", *extra])
