"""YAML texts: what is refused as such, and what is read back as it was written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.manifests.errors import ManifestError
from mesh.manifests.texts import dump_text, parse_text

WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=5)
SCALARS = WORDS | st.sampled_from(["yes", "010", "1e3", "~", "12:30", "2026-11-25"]) | st.booleans() | st.integers(0, 9)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: A\nspec:\n  rules: []\n  rules: [{}]", r'spec: duplicate entry with key "rules" at line 3'),
        ("kind: A\nspec: [", r"did not find expected node content at line 3"),
        ("kind: A\n\tspec: 1", r"found a tab character that violates indentation at line 2"),
        ("a: &a [*a]", r"recursion limit exceeded"),
        ("? [a]\n: 1", r"unhashable"),
    ],
)
def test_a_broken_text_is_refused(text: str, why: str) -> None:
    """By file and line. A key that stands twice is one, for only the last of the two would be obeyed."""
    with pytest.raises(ManifestError, match=rf"^mesh\.yaml: cannot be read as YAML: .*{why}.*: correct it there$"):
        parse_text(text, "mesh.yaml")


def test_documents_are_counted_as_they_stand() -> None:
    """Empty ones too, so that a message names the right one."""
    assert parse_text("---\na: 1\n---\n---\na: 2\n", "mesh.yaml") == [{"a": 1}, None, {"a": 2}]
    assert parse_text("", "mesh.yaml") == []


@given(st.dictionaries(WORDS, SCALARS | st.lists(SCALARS, max_size=3), max_size=4))
def test_what_was_written_is_read_back(value: dict[str, Any]) -> None:
    """A text that looks like a number or a truth stays a text."""
    assert parse_text(dump_text(value), "mesh.yaml") == [value]
