"""What a command shows while it waits: a line with a spinner, and above it a text that somebody is writing.

Both are gone from the screen when the wait ends; what counts is printed by mesh.cli.output. The end of a long text is
shown, as much as the terminal has room for. Lines are cut where the terminal ends instead of wrapped by it, so that
what is on the screen is as high as we think, however wide a terminal draws an emoji.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, ConsoleOptions, RenderableType

REFRESHES_A_SECOND = 12.5
"""As rich's own spinner has it."""
LINES_KEPT_FREE = 3
"""Of the terminal, for the spinner and what is above the text."""
NO_WRAPPING = "\x1b[?7l"
WRAPPING = "\x1b[?7h"


class Waiting(Protocol):
    """A wait that people see."""

    def __call__(self, text: str) -> None:
        """Says what is waited for; "" for nothing."""
        ...

    def write(self, text: str) -> None:
        """Replaces the text that is being written; "" takes it off the screen. Only a terminal shows it."""
        ...


class LineWaiting:
    """Into a pipe or file: a line a change, and no text that is not whole."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._last = ""

    def __call__(self, text: str) -> None:
        """See Waiting."""
        if text and text != self._last:
            self._last = text
            self._note(text)

    def write(self, text: str) -> None:
        """See Waiting."""


class TerminalWaiting:
    """On a terminal. `width`: columns of running text at most, and `indent` those before it."""

    def __init__(self, console: Console, clean: Callable[[str], str], *, width: int, indent: int = 2) -> None:
        self._console = console
        self._clean = clean
        self._width = width
        self._indent = indent
        spinner = "dots" if console.encoding.startswith("utf") else "line"
        self._spinner = Spinner(spinner, style="status.spinner")
        self._text = ""
        self._is_waiting = False
        self._live: Live | None = None

    def __call__(self, text: str) -> None:
        """See Waiting."""
        self._spinner.update(text=Text(self._clean(text)))
        self._is_waiting = bool(text)
        self.resume() if text else self.pause()

    def write(self, text: str) -> None:
        """See Waiting."""
        self._text = text
        if self._live is not None and not text:
            self._live.refresh()

    def pause(self) -> None:
        """Takes all of it off the screen, so that something can be printed."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
            self._control(WRAPPING)

    def resume(self) -> None:
        """Shows it again, if anything is waited for."""
        if self._is_waiting and self._live is None:
            self._control(NO_WRAPPING)
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=REFRESHES_A_SECOND,
                transient=True,
                vertical_overflow="crop",
            )
            self._live.start(refresh=True)

    def _render(self) -> RenderableType:
        if not self._text:
            return self._spinner
        return Group(Padding(_Tail(self._clean(self._text), self._width), (0, 0, 1, self._indent)), self._spinner)

    def _control(self, sequence: str) -> None:
        if not self._console.is_dumb_terminal:
            self._console.file.write(sequence)
            self._console.file.flush()


class _Tail:
    """The last lines of a text, as many as there is room for."""

    def __init__(self, text: str, width: int) -> None:
        self._text, self._width = text, width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> list[Text]:
        width = min(self._width, options.max_width)
        lines = Text(self._text, style="dim").wrap(console, width)
        return list(lines[-max(1, console.height - LINES_KEPT_FREE) :])
