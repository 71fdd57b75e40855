"""A judge of turns: which side a turn argues, and whether it answers what the opponent said, each as a score.

A small model that is asked for an opinion agrees with whatever it is asked. So it is asked for one word of two after
four examples, two with each word, and what counts is not the word that it writes but how much more probable one is than
the other. What score means yes, and how far the judge can be trusted, is found on turns labelled by hand (`labels`).
Asked for the letter of one of two statements instead, in both orders and without examples, the embedded default's first
scores were within 0.6 of 0, and each took two calls. A server that gives no probabilities is taken at its word.
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
"""Log-probability of a word that is not among those the server names."""

SYSTEM = "You read what people say in debates. You answer with one word."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a text: which of two words is true of it."""

    asked: str
    yes: str
    """The word whose probability makes the score greater."""
    no: str
    examples: tuple[tuple[str, str], ...]
    """Texts and their words. They come first and are always the same, so that a server reads them once."""

    def compose(self) -> list[dict[str, str]]:
        """Returns the chat."""
        shown = [
            {"role": role, "content": text}
            for asked, word in self.examples
            for role, text in (("user", asked), ("assistant", word))
        ]
        return [{"role": "system", "content": SYSTEM}, *shown, {"role": "user", "content": self.asked}]


def ask_side(text: str, topic: str) -> Question:
    """Returns the question which side of the motion a turn argues: for is yes."""
    return Question(_put_side(text, topic), "for", "against", SIDE_EXAMPLES)


def ask_answered(text: str, opponent: str) -> Question:
    """Returns the question whether a turn answers the opponent's."""
    return Question(_put_answered(text, opponent), "yes", "no", ANSWER_EXAMPLES)


def _put_side(text: str, topic: str) -> str:
    return f"Motion: {topic}\n\nA speaker said:\n<<<\n{text}\n>>>\n\nIs the speaker for the motion or against it?"


def _put_answered(text: str, opponent: str) -> str:
    return (
        f"Anna said:\n<<<\n{opponent}\n>>>\n\nBen said:\n<<<\n{text}\n>>>\n\nDoes Ben reply to a point that Anna made?"
    )


CHESS = "Chess trains patience. Pupils in Armenia who learned it did better at mathematics."
DOGS = "A dog must be walked three times a day, whatever the weather. Cats are clean and look after themselves."
ADVERTS = "They say that advertising for beer harms the young. It pays for the pitches on which they play."
FIREWORKS = "Fireworks tear off fingers every winter. Dogs hide for days, and the smoke closes motorways."
NIGHTS = "They say that guards cost too much. In Berlin the long nights paid for themselves, and workers came at last."

SIDE_EXAMPLES = (
    (_put_side(CHESS, "Children should learn chess at school"), "for"),
    (_put_side(ADVERTS, "Advertising for beer should be forbidden"), "against"),
    (_put_side(DOGS, "Dogs are better pets than cats"), "against"),
    (_put_side(FIREWORKS, "Private fireworks should be banned"), "for"),
)
"""Two of bans: a small model takes bad words about a thing for a voice against the motion that would forbid it."""
ANSWER_EXAMPLES = (
    (_put_answered("The pupils who chose chess were good at mathematics before. It proves nothing.", CHESS), "yes"),
    (_put_answered("Dogs guard the house. A family in Leeds was woken by theirs when the kitchen burned.", DOGS), "no"),
    (
        _put_answered("Young people like to meet in the evening.", "Guards cost too much at night."),
        "no",
    ),
    (_put_answered(NIGHTS, "Museums that open at night cost too much in guards."), "yes"),
)
"""On motions that are not among those held: what a judge knows of them says nothing about the debates."""


def read_score(choice: Mapping[str, Any], question: Question) -> float:
    """Returns how much more probable the word for yes is than the word for no, in nats, in a choice of OpenAI's chat
    API; by the word written if there are no probabilities; 0 if it is neither word."""
    content = (choice.get("logprobs") or {}).get("content") or []
    candidates = content[0]["top_logprobs"] if content else []
    yes, no = (_add_logarithms(candidates, word) for word in (question.yes, question.no))
    if max(yes, no) > LEAST:
        return yes - no
    written = str((choice.get("message") or {}).get("content") or "").strip().strip("*(\"'").lower()
    return CERTAIN * (written.startswith(question.yes) - written.startswith(question.no))


def _add_logarithms(candidates: Sequence[Mapping[str, Any]], word: str) -> float:
    """Returns the log-probability that an answer begins as this word does, in any spelling; LEAST if it is none."""
    total = sum(
        math.exp(candidate["logprob"])
        for candidate in candidates
        if (start := candidate["token"].strip().strip("*(\"'").lower()) and word.startswith(start)
    )
    return max(math.log(total), LEAST) if total else LEAST


class Judge:
    """A model behind OpenAI's chat API that says one of two words."""

    def __init__(self, name: str, model: str, url: str, key: str = "") -> None:
        self.name = name
        """As a user would select it."""
        self.calls = 0
        self._model = model
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=CALL_SECONDS, trust_env=bool(key))

    def score(self, question: Question) -> float:
        """Returns how much more probable yes is than no."""
        self.calls += 1
        body = {
            "model": self._model,
            "messages": question.compose(),
            "max_tokens": 2,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 20,
        }
        response = self._client.post("chat/completions", json=body)
        response.raise_for_status()
        return read_score(response.json()["choices"][0], question)


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
