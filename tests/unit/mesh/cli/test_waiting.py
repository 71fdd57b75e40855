"""What a terminal shows while a command waits: the text that is being written above the spinner, and nothing after."""

from __future__ import annotations

import pytest
from rich.console import Console

from mesh.cli.output import Output, clean
from mesh.cli.waiting import TerminalWaiting
from tests.support.screen import FakeTerminal, Screen

WIDTH, HEIGHT = 40, 12
LONG = " ".join(f"word{number}" for number in range(300))
HARD = {
    "right to left": "\u0627\u0644\u0634\u0627\u064a \u0623\u0641\u0636\u0644 " * 18,
    "hindi": "\u091a\u093e\u092f \u0915\u0949\u092b\u093c\u0940 \u0938\u0947 " * 18,
    "persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 " * 20,
    "emoji only": "\U0001f9d1\u200d\U0001f33e\u2764\ufe0f\U0001f1e9\U0001f1ea" * 30,
    "hearts that rich takes for narrow": "\u2764\ufe0f" * 200,
    "chinese": "\u8336\u6bd4\u5496\u5561\u597d\u3002" * 40,
    "zero width": "a\u200bb\u2060c\ufeff" * 60,
    "one word": "x" * 500,
    "line breaks": "a\n\nb\n" * 30,
}  # fmt: skip


@pytest.fixture(autouse=True)
def size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("LINES", str(HEIGHT))
    monkeypatch.setenv("TERM", "xterm-256color")


class Terminal:
    """One terminal for both streams, and what is seen on it."""

    def __init__(self) -> None:
        self.stream = FakeTerminal()
        self.output = Output(self.stream, self.stream)
        self._screen = Screen(WIDTH, HEIGHT)
        self._seen = 0

    @property
    def screen(self) -> Screen:
        """The screen with all that was written until now."""
        written = self.stream.getvalue()
        self._screen.feed(written[self._seen :])
        self._seen = len(written)
        return self._screen


def refresh(waiting: object) -> None:
    """Draws now what the refreshing thread would draw within a tenth of a second."""
    assert isinstance(waiting, TerminalWaiting)
    assert waiting._live is not None
    waiting._live.refresh()


def test_a_text_grows_above_the_line() -> None:
    """The text so far and what is waited for are on the screen; at the end neither is."""
    terminal = Terminal()
    terminal.output.say("Round 1")
    with terminal.output.waiting() as waiting:
        waiting("team-a has the floor")
        waiting.write("Tea is")
        refresh(waiting)
        assert "\n  Tea is\n" in terminal.screen.text
        waiting.write("Tea is better than coffee.")
        refresh(waiting)
        assert "  Tea is better than coffee." in terminal.screen.text
        assert terminal.screen.text.count("Tea is") == 1
        assert "team-a has the floor" in terminal.screen.text
    assert terminal.screen.text == "Round 1"


def test_a_withdrawn_text_is_taken_off_at_once() -> None:
    """What was written is gone, and the line that says what is waited for stays."""
    terminal = Terminal()
    with terminal.output.waiting() as waiting:
        waiting("team-a has the floor")
        waiting.write("Tea is")
        refresh(waiting)
        waiting.write("")
        assert "Tea" not in terminal.screen.text
        assert "team-a has the floor" in terminal.screen.text


def test_what_is_printed_meanwhile_stays() -> None:
    """A line of the output goes above what is being written, which is drawn again below it."""
    terminal = Terminal()
    with terminal.output.waiting() as waiting:
        waiting("team-a has the floor")
        waiting.write("Tea is")
        refresh(waiting)
        terminal.output.say("A turn.")
        assert terminal.screen.text.index("A turn.") < terminal.screen.text.index("Tea is")
    assert terminal.screen.text == "A turn."


def test_of_a_long_text_the_end_is_shown() -> None:
    """As much as the terminal has lines for; nothing scrolls off, so that all of it can be taken away again."""
    terminal = Terminal()
    with terminal.output.waiting() as waiting:
        waiting("team-a has the floor")
        for words in range(0, 300, 20):
            waiting.write(" ".join(LONG.split()[:words]))
            refresh(waiting)
        waiting.write(LONG)
        refresh(waiting)
        assert "word299" in terminal.screen.text
        assert "word0 " not in terminal.screen.text
        assert len(terminal.screen.text.splitlines()) <= HEIGHT
    assert terminal.screen.text == ""


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_no_text_leaves_anything_behind(text: str) -> None:
    """However a terminal draws it, what was written is gone afterwards, and cursor and line wrapping are back."""
    terminal = Terminal()
    terminal.output.say("Before")
    with terminal.output.waiting() as waiting:
        waiting("team-a has the floor")
        for length in range(0, len(text), 7):
            waiting.write(text[:length])
            refresh(waiting)
        terminal.output.say("Meanwhile")
    assert terminal.screen.text == "Before\nMeanwhile"
    assert terminal.screen.wraps
    assert terminal.screen.shows_cursor


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_a_turn_is_shown_as_it_is(text: str) -> None:
    """Nothing of it is left out but the blanks at which lines are broken."""
    terminal = Terminal()
    terminal.output.say(text, indent=2)
    assert "".join(terminal.screen.text.split()) == "".join(text.split())


def test_a_text_cannot_steer_the_terminal() -> None:
    """Control characters and those that turn the direction of what follows are left out."""
    terminal = Terminal()
    with terminal.output.waiting() as waiting:
        waiting("x")
        waiting.write("a\x1b[2Jb\r\x07\u202ec\u2066d")
        refresh(waiting)
        assert "a[2Jbcd" in terminal.screen.text
    assert clean("\u202d\u202e\u2066\u2067\u2069") == ""


def test_a_dumb_terminal_gets_no_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be taken back, nothing is drawn that would have to be."""
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    with terminal.output.waiting() as waiting:
        waiting("team-a has the floor")
        waiting.write("Tea is")
    assert "\x1b" not in terminal.stream.getvalue()
    assert "Tea" not in terminal.stream.getvalue()


def test_into_a_pipe_only_what_is_waited_for_is_written() -> None:
    """A line a change, and nothing of a text that is not whole."""
    stream = FakeTerminal()
    stream.isatty = lambda: False  # type: ignore[method-assign]
    output = Output(stream, stream)
    assert not Console(file=stream).is_terminal
    with output.waiting() as waiting:
        for text in ("a", "a", "", "b"):
            waiting(text)
            waiting.write("Tea")
    assert stream.getvalue() == "a\nb\n"
