"""A model's server as a process of its own, which can be killed and come back at the same port.

`python -m tests.support.model_process PORT KIND` serves OpenAI's API and answers as tests.support.scripted_service does
("usual"), or with values of every wrong type ("confused"). PORT 0 is a free one; the port is what it prints.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mesh.local.processes import die_with_parent
from mesh.testing.misbehaviour import openai_stream, openai_whole
from mesh.testing.openai_server import Raw, ScriptedServer
from mesh.testing.scripted_model import Answer, Call
from tests.support.scripted_service import moderator_text, turn_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

DELAY_SECONDS = 0.2
"""Of each answer, so that a debate lasts long enough to be disturbed."""

CONFUSED: tuple[Any, ...] = (
    7,
    [["a", 1], ["b", 2]],
    {"text": {"text": [None]}},
    None,
    10**400,
    float("nan"),
    True,
    '{"points": [[1, 2], [3]], "claim": {"a": 1}}',
    '{"argument_for": 12, "they_say": null}',
    "[" * 50_000,
    '{"questions": {"1": 2}, "winner": 3, "scores": [[1]], "summary": {"team-a": []}}',
)


def answer_usually(call: Call) -> Answer:
    """As a model that does its work."""
    text = moderator_text(call)
    if text == "Each side made points of its own." and "Each side" not in call.text:
        text = turn_text((call.seed or 0) + call.number, 400)
    return Answer(text=text, delay_seconds=DELAY_SECONDS)


def answer_confusedly(call: Call) -> Raw:
    """With the next of CONFUSED as its content, and counts that are none."""
    content = CONFUSED[call.number % len(CONFUSED)]
    usage = {"prompt_tokens": 10**30, "completion_tokens": float("inf")}
    if call.body.get("stream"):
        return openai_stream({"content": content}, usage=usage)
    return openai_whole({"role": "assistant", "content": content}, usage=usage)


SCRIPTS: dict[str, Callable[[Call], Answer | Raw]] = {"usual": answer_usually, "confused": answer_confusedly}


class ModelProcess:
    """The process, from `with` to the end of it."""

    def __init__(self, kind: str = "usual") -> None:
        self._kind = kind
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL is for it; the same after it came back."""
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Starts it, at the port that it had before, and returns once it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.model_process", str(self._port), self._kind],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - nothing may outlive the test run
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def __enter__(self) -> ModelProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def main(port: int, kind: str) -> None:
    """Serves until it is killed."""
    with ScriptedServer(SCRIPTS[kind], port=port) as server:
        sys.stdout.write(server.url.rpartition(":")[2] + "\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
