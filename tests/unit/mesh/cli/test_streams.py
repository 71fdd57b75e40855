"""What a terminal's size, a text and a stream may be, and what of them reaches the screen."""

from __future__ import annotations

import json
import os

import pytest

from mesh.cli.output import clean, escape
from mesh.cli.streams import limit_sizes


@pytest.mark.parametrize(
    ("given", "kept"),
    [("80", "80"), ("20", "20"), ("1", "20"), ("0", None), ("-5", None), ("", None), ("wide", None), ("9" * 12, None)],
)
def test_sizes(given: str, kept: str | None) -> None:
    """What is no size is not heeded, and a tiny one is made usable."""
    for name in ("COLUMNS", "TERMINAL_WIDTH"):
        environ = {name: given, "TERM": "dumb"}
        limit_sizes(environ, None)
        assert environ == ({"TERM": "dumb"} if kept is None else {name: kept, "TERM": "dumb"})


@pytest.mark.parametrize(("columns", "kept"), [(80, None), (20, None), (19, "20"), (1, "20"), (0, None)])
def test_tiny_terminals(columns: int, kept: str | None) -> None:
    """A terminal of a few columns is written to as one of twenty, whose lines it wraps; one of none says nothing."""
    environ: dict[str, str] = {}
    limit_sizes(environ, os.terminal_size((columns, 24)))
    assert environ.get("COLUMNS") == kept


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\u0915\u094d\u200d\u0937",  # Hindi, with a joiner
        "\U0001f469\u200d\U0001f52c\ufe0f",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland's flag, by tags
        "100\u00a0%, 1\u202f000, \u2003wide, \u2009thin, \u205fmedium, \u1680",
        "\u65e5\u672c\u3000\u6771\u4eac",
        "\u05e9\u05dc\u05d5\u05dd\u200f!\u200e \u061c",  # marks of direction, which turn nothing but themselves
        "co\u00adoperate \u2060\ufeff\u200b \ue000 \U000f0000 \u0378",
        "a\tb\nc",
    ],
)
def test_what_people_write_survives(text: str) -> None:
    """Joiners, spaces of any width and script, marks, tags, private and unassigned characters are writing."""
    assert clean(text) == text
    assert escape(text) == text


@pytest.mark.parametrize("character", [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))])
def test_what_turns_a_direction_does_not(character: str) -> None:
    """Embeddings, overrides and isolates would turn what follows them, outside of the text too."""
    assert clean(f"a{character}b") == "ab"


@pytest.mark.parametrize(
    "code", [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"], ids=hex
)
def test_control_characters_do_not(code: int) -> None:
    """Nor does what steers a terminal; in JSON it is written by its number and means the same."""
    assert clean(f"a{chr(code)}b") == "ab"
    written = escape(json.dumps(f"a{chr(code)}b", ensure_ascii=False))
    assert written.isprintable()
    assert json.loads(written) == f"a{chr(code)}b"
