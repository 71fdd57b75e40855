"""Where words go: results to stdout, everything about the way there to stderr.

On a terminal rich colours and wraps; into a pipe or file the same words go plain, one thought a line, with no control
characters. Whatever a model or user wrote is stripped of control characters first, so that no text can steer a
terminal.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.text import Text

from mesh.cli.waiting import LineWaiting, TerminalWaiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from mesh.cli.waiting import Waiting

WIDTH = 100
"""Columns of running text on a terminal at most: longer lines are hard to read."""

INDENT = 2
"""Columns before a turn's text."""

HARMLESS = frozenset("\n\t\u00a0\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")
"""Not printable to Python: line breaks and tabs, the no-break space of French and German, the soft hyphen, and the
invisible characters by which Persian, Hindi and emoji join or do not join. Those that turn the direction of all that
follows are not among them."""


def clean(text: str) -> str:
    """Returns the text without control characters, but for those that are harmless."""
    return "".join(character for character in text if character in HARMLESS or character.isprintable())


def json_of(message: Message) -> dict[str, Any]:
    """Returns protobuf's JSON of a message with the proto's field names and every field without presence."""
    return MessageToDict(message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True)


def local_time(stamp: Timestamp) -> str:
    """Returns a time of day in the reader's zone, to the second."""
    return datetime.fromtimestamp(stamp.seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


class Output:
    """Both streams of a command."""

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._out = Console(file=stdout or sys.stdout, highlight=False, emoji=False, markup=False)
        self._err = Console(file=stderr or sys.stderr, highlight=False, emoji=False, markup=False)
        self._waiting: TerminalWaiting | None = None  # what is on the terminal now

    @property
    def for_people(self) -> bool:
        """Whether stdout is a terminal."""
        return self._out.is_terminal

    def say(self, text: str = "", *, style: str = "", indent: int = 0) -> None:
        """Writes a paragraph to stdout."""
        self._write(self._out, text, style, indent)

    def note(self, text: str, *, style: str = "") -> None:
        """Writes a line about the way there to stderr."""
        self._write(self._err, text, style, 0)

    def error(self, text: str) -> None:
        """Writes the one line of a failure to stderr."""
        self._write(self._err, f"rostrum: {text}", "red", 0)

    def raw(self, line: str) -> None:
        """Writes a line to stdout as it is, for logs and JSON."""
        stream = self._out.file
        stream.write(f"{line}\n")
        stream.flush()

    def json(self, data: Message | dict[str, Any]) -> None:
        """Writes one JSON document."""
        self.raw(json.dumps(data if isinstance(data, dict) else json_of(data), indent=2, ensure_ascii=False))

    def json_line(self, message: Message) -> None:
        """Writes one JSON document on one line."""
        self.raw(json.dumps(json_of(message), ensure_ascii=False))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Writes aligned columns; on a terminal the last one is cut where the line ends."""
        cells = [[*columns], *[[" ".join(clean(cell).split()) for cell in row] for row in rows]]
        widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
        for number, row in enumerate(cells):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            style = "bold" if number == 0 and self.for_people else ""
            self._out.print(
                Text(line, style=style),
                no_wrap=True,
                overflow="ellipsis" if self.for_people else "ignore",
                crop=self.for_people,
            )

    @contextmanager
    def waiting(self) -> Iterator[Waiting]:
        """Yields what says what is waited for: a spinner on a terminal, else a line a change."""
        if not self._err.is_terminal:
            yield LineWaiting(self.note)
            return
        waiting = self._waiting = TerminalWaiting(self._err, clean, width=WIDTH - INDENT, indent=INDENT)
        try:
            yield waiting
        finally:
            waiting("")
            self._waiting = None

    @contextmanager
    def download(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """Yields a function of (bytes done, bytes of all): a bar on a terminal, else a line every tenth."""
        if not self._err.is_terminal:
            tenth = -1

            def line(done: int, total: int) -> None:
                nonlocal tenth
                if total and done * 10 // total > tenth:
                    tenth = done * 10 // total
                    self.note(f"{title}: {done // 2**20} of {total // 2**20} MiB")

            yield line
            return
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
        with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=self._err) as progress:
            task = progress.add_task(title, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    def _write(self, console: Console, text: str, style: str, indent: int) -> None:
        body = Text(clean(text), style=style)
        if not console.is_terminal:
            console.print(body, soft_wrap=True)
            return
        if self._waiting is not None:
            self._waiting.pause()
        console.print(Padding(body, (0, 0, 0, indent)), width=min(WIDTH, console.width))
        if self._waiting is not None:
            self._waiting.resume()
