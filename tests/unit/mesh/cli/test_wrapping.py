"""Where lines end on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mesh.cli.wrapping import wrap_text


@pytest.mark.parametrize(
    ("text", "width", "wrapped"),
    [
        ("one two three", 8, "one two\nthree"),
        ("one two", 7, "one two"),
        ("100\u00a0% of it", 6, "100\u00a0%\nof it"),
        ("to 1\u202f000\u202f000 and", 10, "to\n1\u202f000\u202f000\nand"),
        ("\u65e5\u672c\u3000\u6771\u4eac", 6, "\u65e5\u672c\u3000\n\u6771\u4eac"),
        ("\u65e5\u672c\u3000\u6771\u4eac", 4, "\u65e5\u672c\n\u3000\u6771\n\u4eac"),
        ("a\n\nb", 5, "a\n\nb"),
        ("abcdefgh", 3, "abc\ndef\ngh"),
        ("a\tb", 20, "a       b"),
        ("", 5, ""),
    ],
)
def test_breaks(text: str, width: int, wrapped: str) -> None:
    """At spaces, never at one that does not break; a word that is longer than a line is cut."""
    assert wrap_text(text, width) == wrapped


@given(st.text(st.sampled_from("ab \u00a0\u202f\u3000\u65e5\u672c\n"), max_size=60), st.integers(2, 20))
def test_nothing_is_lost(text: str, width: int) -> None:
    """No line is too long, and all but plain blanks and line breaks is there, in order."""
    wrapped = wrap_text(text, width)
    assert all(cell_len(line) <= width for line in wrapped.split("\n"))
    for blank in (" ", "\n"):
        text, wrapped = text.replace(blank, ""), wrapped.replace(blank, "")
    assert wrapped == text
