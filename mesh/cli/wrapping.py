"""Breaks the lines of a text for a terminal, at spaces that may be broken at and at no other.

rich breaks at a no-break space as at any, and drops the space there. Nothing but plain blanks at a break is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

_GAPS = re.compile("([ \u1680\u2000-\u2006\u2008-\u200a\u205f\u3000]+)")
"""Every space of Unicode but U+00A0, U+2007 and U+202F, at which no line ends."""
TAB = 8


def wrap_text(text: str, width: int) -> str:
    """Returns the text with no line of more than so many columns, 2 or more."""
    return "\n".join(part for line in text.split("\n") for part in _wrap_line(line.expandtabs(TAB), width))


def _wrap_line(line: str, width: int) -> Iterator[str]:
    if cell_len(line) <= width:
        yield line
        return
    first, *others = _GAPS.split(line)
    *wholes, current = chop_cells(first, width) or [""]
    yield from wholes
    for gap, word in zip(others[::2], others[1::2], strict=True):
        if cell_len(current + gap + word) <= width:
            current += gap + word
            continue
        kept = gap.strip(" ")
        fits = cell_len(current + kept) <= width
        yield current + kept if fits else current
        *wholes, current = chop_cells(word if fits else kept + word, width) or [""]
        yield from wholes
    yield current
