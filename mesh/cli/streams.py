"""Standard output and error of a command, whatever they are: a full disk, a reader that left, any encoding, any width.

`open_streams` puts them in the place of Python's own. What stdout does not take ends the command, by one line or, if
its reader has had enough, by none; what stderr does not take is lost, since nobody is left to be told. A character that
the encoding lacks becomes a question mark. Called by `mesh.cli.program` alone.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from mesh.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SIZES = {"COLUMNS": 20, "TERMINAL_WIDTH": 20, "LINES": 5}
"""What says how large a terminal is, with the least that is worth heeding."""
MAX_DIGITS = 4


class ResultStream(io.TextIOWrapper):
    """Stdout. All that fails raises CommandError, and what comes after that is dropped."""

    def write(self, text: str) -> int:
        """See io.TextIOWrapper."""
        try:
            return super().write(text)
        except OSError as error:
            raise self._give_up(error) from error

    def flush(self) -> None:
        """See io.TextIOWrapper."""
        try:
            super().flush()
        except OSError as error:
            raise self._give_up(error) from error

    def _give_up(self, error: OSError) -> CommandError:
        _drop_all(1)
        if isinstance(error, BrokenPipeError):
            return CommandError("", Exit.OK)
        return CommandError(f"the output cannot be written: {error.strerror}", Exit.FAILURE)


class NoteStream(io.TextIOWrapper):
    """Stderr. Nothing that fails is raised."""

    def write(self, text: str) -> int:
        """See io.TextIOWrapper."""
        try:
            return super().write(text)
        except OSError:
            _drop_all(2)
            return len(text)

    def flush(self) -> None:
        """See io.TextIOWrapper."""
        try:
            super().flush()
        except OSError:
            _drop_all(2)


def open_streams() -> None:
    """Makes sys.stdout and sys.stderr of these."""
    sys.stdout = _open(ResultStream, 1, sys.stdout)
    sys.stderr = _open(NoteStream, 2, sys.stderr)


def find_terminal() -> os.terminal_size | None:
    """Returns the size of the terminal that the command writes to, if it does."""
    for descriptor in (1, 2):
        try:
            return os.get_terminal_size(descriptor)
        except OSError:
            continue
    return None


def limit_sizes(environ: MutableMapping[str, str], terminal: os.terminal_size | None) -> None:
    """Takes sizes of a terminal that are none out of the environment, and makes tiny ones usable, a real one's too."""
    if terminal is not None and 0 < terminal.columns < SIZES["COLUMNS"]:
        environ.setdefault("COLUMNS", str(terminal.columns))
    for name, least in SIZES.items():
        value = environ.get(name)
        if value is None:
            continue
        if value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS and int(value) > 0:
            environ[name] = str(max(least, int(value)))
        else:
            del environ[name]


def _open(kind: type[io.TextIOWrapper], descriptor: int, given: object) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(io.FileIO(descriptor, "wb", closefd=False))
    encoding = str(getattr(given, "encoding", None) or "utf-8")
    return kind(buffer, encoding=encoding, errors="replace", line_buffering=buffer.isatty() or descriptor == 2)


def _drop_all(descriptor: int) -> None:
    """What is buffered still, and all that comes, goes nowhere: Python would complain of it once more at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
