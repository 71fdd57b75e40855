"""A terminal's screen: what somebody sees of the bytes that a command writes to a terminal.

It knows the few sequences that rich writes and fails on any other, so that nothing unexpected reaches a terminal.
Emoji and CJK take two columns, as terminals draw them, whatever the writer thinks.
"""

from __future__ import annotations

import io
import re
import unicodedata

_SEQUENCE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal, for what is tested in this process."""

    def isatty(self) -> bool:
        return True


class Screen:
    """The screen and what scrolled off it."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._cells: list[list[str]] = [[]]
        """All lines, those that scrolled off too; a cell has a character and its marks, or "" beside a wide one."""
        self._row = self._column = 0
        self.wraps = True
        self.shows_cursor = True

    @property
    def text(self) -> str:
        """All that was written and not erased."""
        return "\n".join("".join(cells).rstrip() for cells in self._cells).rstrip()

    def feed(self, written: str) -> Screen:
        """Takes what was written; returns itself."""
        place = 0
        while place < len(written):
            found = _SEQUENCE.match(written, place)
            if found is not None:
                self._obey(found[1], found[2], found[3])
                place = found.end()
                continue
            self._put(written[place])
            place += 1
        return self

    def _obey(self, private: str, argument: str, letter: str) -> None:
        number = int(argument) if argument.isdigit() else 1
        if private and letter in "hl":
            if argument == "7":
                self.wraps = letter == "h"
            elif argument == "25":
                self.shows_cursor = letter == "h"
            else:
                raise AssertionError(f"an unexpected mode {argument}")
        elif letter == "A":
            top = max(0, len(self._cells) - self.height)
            self._row = max(top, self._row - number)  # what scrolled off cannot be reached
        elif letter == "K":
            self._cells[self._row] = [] if argument == "2" else self._cells[self._row][: self._column]
        elif letter != "m":
            raise AssertionError(f"an unexpected sequence {private}{argument}{letter}")

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._column = 0
            self._next_row()
        elif unicodedata.category(character) in {"Cc", "Cs"}:
            raise AssertionError(f"an unexpected character {character!r}")
        else:
            self._write(character, _width_of(character))

    def _write(self, character: str, width: int) -> None:
        cells = self._cells[self._row]
        if width == 0:
            if self._column and self._column <= len(cells):
                cells[self._column - 1] += character
            return
        if self._column + width > self.width:
            if not self.wraps:
                return
            self._column = 0
            self._next_row()
            cells = self._cells[self._row]
        cells += [" "] * (self._column + width - len(cells))
        cells[self._column : self._column + width] = [character, *[""] * (width - 1)]
        self._column += width

    def _next_row(self) -> None:
        self._row += 1
        if self._row == len(self._cells):
            self._cells.append([])


def _width_of(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    is_emoji = unicodedata.category(character) == "So" and ord(character) > 0x2600
    return 2 if is_emoji or unicodedata.east_asian_width(character) in {"W", "F"} else 1
