"""Java reads back what the writer of properties files was given; `_load` is java.util.Properties.load, by its rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.local.properties import properties_text

UNITS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("\\ =:#!\n\r\t\f,\"'$%?{}")))


def _load(text: bytes) -> dict[str, str]:
    """Logical lines, comments, separators and escapes as the Javadoc of load(Reader) has them; ISO 8859-1."""
    found = {}
    lines = re.split(r"\r\n|\r|\n", text.decode("latin-1"))
    while lines:
        line = lines.pop(0).lstrip(" \t\f")
        while re.search(r"(?<!\\)(\\\\)*\\$", line) and lines:
            line = line[:-1] + lines.pop(0).lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        key = re.match(r"(?:\\.|[^\\=: \t\f])*", line)
        assert key is not None
        rest = re.sub(r"^[ \t\f]*[=:]?[ \t\f]*", "", line[key.end() :], count=1)
        found[_unescape(key[0])] = _unescape(rest)
    return found


def _unescape(text: str) -> str:
    units = re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|(.))",
        lambda match: chr(int(match[1], 16)) if match[1] else UNITS.get(match[2], match[2]),
        text,
        flags=re.DOTALL,
    )
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


@given(st.dictionaries(TEXTS, TEXTS))
def test_java_reads_what_was_written(settings: dict[str, str]) -> None:
    """Any key and any value: nothing ends, begins or changes another."""
    text = properties_text(settings)
    assert text.isascii()
    assert _load(text.encode("ascii")) == settings


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("/home/Übung/日本", r"x=/home/\u00dcbung/\u65e5\u672c"),
        ("/home/a\\b", r"x=/home/a\\b"),
        ("/home/a, b", "x=/home/a, b"),
        (" a ", r"x=\ a "),
        ("a\nb", r"x=a\nb"),
        ("😀", r"x=\ud83d\ude00"),
    ],
)
def test_what_a_file_holds(value: str, line: str) -> None:
    """The bytes, for who reads one."""
    assert properties_text({"x": value}) == f"{line}\n"
