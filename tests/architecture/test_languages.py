"""Nothing that judges or cuts what is said knows one language only: its rules are mesh.language's.

What is looked for are the ways in which code tells sentences, words and letters by itself: a set of end marks, a range
of letters, a text split at spaces and counted or cut, a list of words in a pattern. Names of resources, log lines and
files have alphabets of their own; those are patterns of mesh outside the folders named here.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.buf import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEECH = ("services", "mesh/agent", "mesh/language", "mesh/llm")
"""Where texts of people and models are handled."""

MARKS = set(".!?。！？…؟।")

EXCEPTIONS: dict[str, dict[str, str]] = {
    "mesh/agent/watching.py": {"text.isascii()": "the quick way to what any text comes to"},
    "mesh/llm/faults.py": {
        "context[ _]": "refusals in the words of servers, which are English",
        "overload|": "the same",
        "support|pars": "the same",
    },
    "mesh/llm/ollama_names.py": {"number.isascii()": "a port's digits"},
    "mesh/llm/thoughts.py": {
        "think|thinking": "the names of tags",
        "start|end": "control tokens of templates",
        "</?[a-z:": "the beginning of a tag",
    },
    "mesh/llm/quoting.py": {
        "side.isascii()": "a joiner beside an ASCII character joins nothing",
        "text.isascii()": "the quick way to what any text comes to",
    },
    "services/debater/case.py": {"claim|point|reason": "the labels that the prompt asks for"},
    "services/debater/refusals.py": {
        "sorry|i apologi": "a refusal in English, one of twenty languages",
        "üzgünüm": "a refusal in Turkish",
    },
}
"""By file, a part of each literal or call that may stay, and why."""

_CLASS = re.compile(r"\[(?:\\.|[^\]\\])*\]")
_RANGE = re.compile(r"([^\W\d_])-([^\W\d_])")
_WORDS = re.compile(r"(?:[a-z']{2,}\\?b?\|){3,}[a-z']{2,}")


def find_rules(source: str) -> Iterator[str]:
    """Yields each literal and call that tells sentences, words or letters by itself."""
    tree = ast.parse(source)
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                if _is_rule(text):
                    yield text
            case ast.Call(func=ast.Name(id="len"), args=[ast.Call(func=ast.Attribute(attr="split"), args=[])]):
                yield ast.unparse(node)
            case ast.Call(func=ast.Attribute(attr="rsplit" | "split"), args=[ast.Constant(value=" "), *_]):
                yield ast.unparse(node)
            case ast.Call(func=ast.Attribute(attr="isascii")):
                yield ast.unparse(node)


def _is_rule(literal: str) -> bool:
    """Says whether a literal is a set of end marks, a class with several of them or with a range of letters, or a
    choice of words."""
    if len(MARKS & set(literal)) >= 2 and not any(map(str.isalnum, literal)) and len(literal) < 12:
        return True
    classes = _CLASS.findall(literal)
    return (
        any(len(MARKS & set(found)) >= 2 for found in classes)
        or any(_RANGE.search(found) for found in classes)
        or _WORDS.search(literal) is not None
    )


@pytest.mark.parametrize(
    "source",
    [
        "re.split(r'(?<=[.!?])\\s+', text)",
        "max(text.rfind(mark) for mark in '.!?')",
        "re.compile('[A-Z0-9À-Þ]')",
        "re.compile('(?:as an ai|sorry|unable|cannot)')",
        "len(text.split())",
        "flat.rsplit(' ', 1)",
        "letters.isascii()",
    ],
)
def test_rules_are_found(source: str) -> None:
    """The check itself works on each kind."""
    assert len(list(find_rules(source))) == 1


@pytest.mark.parametrize("source", ["' '.join(text.split())", "'What is it? Say.'", "'[0-9a-f]'[0]", "'''[.!?]'''"])
def test_what_is_no_rule(source: str) -> None:
    """Blanks made one, prose, digits and docstrings are none of them; hexadecimal digits are a range of letters."""
    assert len(list(find_rules(source))) == ("a-f" in source)


def test_speech_is_told_by_mesh_language() -> None:
    """No file of services, nor of mesh where texts are handled, has such a rule; each exception is there, with why."""
    found = {(name, rule) for name, path in _files() for rule in find_rules(path.read_text("utf-8"))}
    excused = {(name, rule, part) for name, rule in found for part in EXCEPTIONS.get(name, {}) if part in rule}
    rules = found - {(name, rule) for name, rule, _ in excused}
    assert not rules, "take split_sentences, count_words, shorten, ends_sentence of mesh.language.text"
    used = {(name, part) for name, _, part in excused}
    assert {(name, part) for name, parts in EXCEPTIONS.items() for part in parts} == used, "one is not there any more"


def _files() -> list[tuple[str, Path]]:
    paths = [path for folder in SPEECH for path in (ROOT / folder).rglob("*.py")]
    return [(path.relative_to(ROOT).as_posix(), path) for path in paths]
