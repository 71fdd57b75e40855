"""A judge of turns: which side a turn argues, and whether it answers what the opponent said, each as a score.

A small model that is asked for an opinion says yes. So it chooses between two statements, named A and B in one order
and in the other, and what counts is not the letter that it writes but how much more probable one is than the other, the
mean of both orders: its liking for a letter cancels out. A server that gives no probabilities is taken at its word.
How far the scores can be trusted is measured on turns labelled by hand (`labels`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from mesh.llm.select import DEFAULT_OLLAMA_HOST, parse
from tests.support.embedded import served

CALL_SECONDS = 600.0
"""A long prompt on a machine where others compute too."""

CERTAIN = 5.0
"""The score of an answer without probabilities."""

LEAST = -20.0
"""Log-probability of a letter that is not among those the server names."""

SYSTEM = "You read what people say in a debate and answer with one letter."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a text: which of two statements is true. `text` comes first, so that it is read once."""

    text: str
    question: str
    first: str
    second: str

    def compose(self, *, swapped: bool) -> list[dict[str, str]]:
        """Returns the chat, the statements in this order or the other."""
        one, other = (self.second, self.first) if swapped else (self.first, self.second)
        user = f"{self.text}\n\n{self.question}\nA. {one}\nB. {other}\n\nAnswer with A or B only."
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]


def ask_side(text: str, sides: tuple[str, str]) -> Question:
    """Returns the question which side a turn argues; the first is FOR."""
    return Question(f"A speaker said:\n<<<\n{text}\n>>>", "Which statement does the speaker defend?", *sides)


def ask_answered(text: str, opponent: str) -> Question:
    """Returns the question whether a turn answers the opponent's; the first statement says that it does."""
    return Question(
        f"Anna said:\n<<<\n{opponent}\n>>>\n\nThen Ben said:\n<<<\n{text}\n>>>",
        "What does Ben do?",
        "Ben takes up something that Anna said and replies to it.",
        "Ben makes points of his own and leaves aside what Anna said.",
    )


def weigh(answers: Sequence[Mapping[str, float]]) -> float:
    """Returns how much more probable the first statement is than the second, in nats, from the log-probabilities of
    the letters: the first answer has the statements in order, the second has them swapped."""
    in_order, swapped = ({letter: answer.get(letter, LEAST) for letter in "AB"} for answer in answers)
    return ((in_order["A"] - in_order["B"]) + (swapped["B"] - swapped["A"])) / 2


def read_letters(choice: Mapping[str, Any]) -> dict[str, float]:
    """Returns the log-probability of each letter in a choice of OpenAI's chat API; of the one written if there is no
    more; none if the answer has no letter."""
    content = (choice.get("logprobs") or {}).get("content") or []
    found: dict[str, float] = {}
    for candidate in content[0]["top_logprobs"] if content else ():
        letter = candidate["token"].strip().strip("*(\"'").upper()
        if letter in {"A", "B"}:
            found[letter] = math.log(math.exp(found.get(letter, -math.inf)) + math.exp(candidate["logprob"]))
    if not found:
        written = str((choice.get("message") or {}).get("content") or "").strip().strip("*(\"'")[:1].upper()
        return {written: 0.0, "AB".replace(written, ""): -CERTAIN} if written in {"A", "B"} else {"A": 0.0, "B": 0.0}
    return found


class Judge:
    """A model behind OpenAI's chat API that chooses between statements."""

    def __init__(self, name: str, model: str, url: str, key: str = "") -> None:
        self.name = name
        """As a user would select it."""
        self.calls = 0
        self._model = model
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=CALL_SECONDS, trust_env=bool(key))

    def score(self, question: Question) -> float:
        """Returns how much more probable the first statement is than the second; above 0 it is the judge's choice."""
        return weigh([self._answer(question.compose(swapped=swapped)) for swapped in (False, True)])

    def _answer(self, messages: Sequence[Mapping[str, str]]) -> dict[str, float]:
        self.calls += 1
        body = {
            "model": self._model,
            "messages": messages,
            "max_tokens": 2,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 20,
        }
        response = self._client.post("/chat/completions", json=body)
        response.raise_for_status()
        return read_letters(response.json()["choices"][0])


@contextmanager
def open_judge(text: str) -> Iterator[Judge]:
    """Gives the judge of this name ("embedded:small", "ollama:NAME", "openai:NAME"), an embedded one served for it.

    Raises ModelNameError.
    """
    name = parse(text)
    if name.kind == "embedded":
        with served("mesh.llm.embedded.server", MODEL=str(name)) as url:
            yield Judge(str(name), str(name), f"{url}/")
    elif name.kind == "ollama":
        host = os.environ.get("OLLAMA_HOST") or DEFAULT_OLLAMA_HOST
        yield Judge(str(name), name.detail, f"{host if '//' in host else f'http://{host}'}/v1/")
    else:
        url = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        yield Judge(str(name), name.detail, f"{url.rstrip('/')}/", os.environ.get("OPENAI_API_KEY", ""))
