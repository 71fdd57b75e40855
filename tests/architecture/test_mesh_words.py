"""The mesh names nothing of an application: no word of debates stands in its identifiers.

Who may import whom is .importlinter's; that another application runs is tests/integration/test_second_application.py's.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.support.buf import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = {"debate", "debater", "stance", "motion", "verdict", "moderator", "round", "seat"}

CONTRACT = "a field of rostrum.agent.v1, at the edge to it"
ROUNDS = "a conversation whose speakers take turns has rounds, whatever it is about; rostrum.agent.v1 counts them"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "agent/api.py": {"debate": CONTRACT},
    "agent/events.py": {"debate": CONTRACT, "stance": CONTRACT, "round": CONTRACT, "max_rounds": CONTRACT},
    "agent/floors.py": {"round": ROUNDS},
    "agent/messages.py": {"debate": CONTRACT},
    "agent/model.py": {"round": ROUNDS, "max_rounds": ROUNDS},
    "agent/questions.py": {"round": ROUNDS},
    "agent/store.py": {"round": ROUNDS},
    "cli/agents.py": {"debate": "the filter of ListUtterances, as an option that people know"},
    "sidecar/clusters/balancing.py": {
        "ROUND_ROBIN": "Envoy's",
        "RoundRobinLbConfig": "Envoy's",
        "round_robin_lb_config": "Envoy's",
    },
}
"""What may stand where, by file of mesh/ and identifier, and why."""


def identifiers(source: str) -> Iterator[str]:
    """Every name that a module defines or uses; not the built-in function round."""
    tree = ast.parse(source)
    rounding = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="round") if id(node) in rounding:
                continue
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case ast.ImportFrom(module=str(name)):
                yield from name.split(".")
            case ast.alias(name=name, asname=other):
                yield from (*name.split("."), other or "")


def words_of(identifier: str) -> set[str]:
    """Its words, lower-case and singular."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return {word.lower() if word.lower() in WORDS else word.lower().removesuffix("s") for word in found}


def test_words_are_found() -> None:
    """The check itself works: in every kind of name, and nowhere else."""
    source = (
        "from a.debates import b\ndef watch_debate(stance): return StanceError.seats(verdict=round(1.5), x=instance)"
    )
    found = {name for name in identifiers(source) if words_of(name) & WORDS}
    assert found == {"debates", "watch_debate", "stance", "StanceError", "seats", "verdict"}


def test_no_word_of_debates_is_an_identifier_of_mesh() -> None:
    """Each that is there stands in EXCEPTIONS with its reason, and none stands there in vain."""
    found = {
        (path.relative_to(ROOT / "mesh").as_posix(), name)
        for path in (ROOT / "mesh").rglob("*.py")
        for name in identifiers(path.read_text("utf-8"))
        if words_of(name) & WORDS
    }
    allowed = {(path, name) for path, names in EXCEPTIONS.items() for name in names}
    assert found - allowed == set(), "say it in words of any conversation, or move it to the application"
    assert allowed - found == set(), "take out what is not there any more"
