from __future__ import annotations

import pytest

from services.moderator.logic.leased_steps import drop_half_sentence


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Both of them spoke. The main 3", "Both of them spoke."),
        (" Both spoke. ", "Both spoke."),
        ("No mark at all", "No mark at all"),
        ("A. The rest of it is much longer than what stands before the mark", None),
    ],
)
def test_a_summary_ends_with_a_sentence(said: str, kept: str | None) -> None:
    """A small model is cut at its limit; the half sentence goes, unless it would take most of the text with it."""
    assert drop_half_sentence(said) == (kept if kept is not None else said)
