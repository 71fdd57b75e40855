"""Where words go: results to stdout, everything about the way there to stderr.

On a terminal rich colours and wraps; into a pipe or file the same words go plain, one thought a line, with no control
characters. Whatever a model or user wrote is stripped of control characters first, so that no text can steer a
terminal.
"""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from google.protobuf.json_format import MessageToDict
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.text import Text

from mesh.cli.waiting import LineWaiting, TerminalWaiting
from mesh.cli.wrapping import wrap_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from mesh.cli.waiting import Waiting

WIDTH = 100
"""Columns of running text on a terminal at most: longer lines are hard to read."""

_BREAKS = re.compile(r"[ \t\n]+")
"""What a cell of a table is written without."""

INDENT = 2
"""Columns before a turn's text."""

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, but for line breaks and tabs, line and paragraph separators, and what turns the direction of all
that follows (embeddings, overrides, isolates). Every other character is somebody's writing: spaces of any width, the
joiners of Persian, Hindi and emoji, marks of direction, tags of flags, private use."""


def clean(text: str) -> str:
    """Returns the text without what steers a terminal; nothing else is lost."""
    return STEERING.sub(_replace_steering, text)


def _replace_steering(found: re.Match[str]) -> str:
    return "\n" if found[0] in "\u2028\u2029" else ""


def escape(text: str) -> str:
    """Returns JSON in which what steers a terminal is written by its number; it means the same."""
    return STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_of(message: Message) -> dict[str, Any]:
    """Returns protobuf's JSON of a message with the proto's field names and every field without presence."""
    return MessageToDict(message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True)


def local_time(stamp: Timestamp) -> str:
    """Returns a time of day in the reader's zone, to the second."""
    return time.strftime(
        "%Y-%m-%d %H:%M:%S", time.localtime(stamp.seconds)
    )  # of any TZ: datetime refuses a day's offset


def _open_console(stream: TextIO) -> Console:
    # A terminal is what is one: rich would take FORCE_COLOR of a CI's environment for one, and draw into its log.
    return Console(file=stream, force_terminal=stream.isatty(), highlight=False, emoji=False, markup=False)


class Output:
    """Both streams of a command."""

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._out = _open_console(stdout or sys.stdout)
        self._err = _open_console(stderr or sys.stderr)
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
        self.raw(self._dump(data if isinstance(data, dict) else json_of(data), indent=2))

    def json_line(self, message: Message) -> None:
        """Writes one JSON document on one line."""
        self.raw(self._dump(json_of(message), indent=None))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Writes aligned columns; on a terminal the last one is cut where the line ends."""
        cells = [[*columns], *[[_BREAKS.sub(" ", clean(cell).strip()) for cell in row] for row in rows]]
        widths = [max(cell_len(row[place]) for row in cells) for place in range(len(columns))]
        for number, row in enumerate(cells):
            line = "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
            style = "bold" if number == 0 and self.for_people else ""
            self._out.print(
                Text(line.rstrip(), style=style),
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

    def _dump(self, data: dict[str, Any], *, indent: int | None) -> str:
        """Returns JSON that stdout can take whole: a character that its encoding lacks is written by its number."""
        return escape(json.dumps(data, indent=indent, ensure_ascii=not self._out.encoding.startswith("utf")))

    def _write(self, console: Console, text: str, style: str, indent: int) -> None:
        if not console.is_terminal:
            console.print(Text(clean(text), style=style), soft_wrap=True)
            return
        width = min(WIDTH, console.width)
        body = Text(wrap_text(clean(text), max(2, width - indent)), style=style)
        if self._waiting is not None:
            self._waiting.pause()
        console.print(Padding(body, (0, 0, 0, indent)), width=width)
        if self._waiting is not None:
            self._waiting.resume()
