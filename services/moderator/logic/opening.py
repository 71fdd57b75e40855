"""Finds the question that opens a round: the agenda's, planned once by the model, or what it makes of that.

The agenda is planned before round 1, ten questions at once; a longer debate plans the next ones when it comes to them.
A guided model asks what is planned; another one may fit a question to what was said. Without a usable answer the
planned question stands, and without one the topic itself. Caller: the leased steps, which store what comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.moderator import prompts
from services.moderator.answers import read_question, read_questions
from services.moderator.logic.asking import refuse_english
from services.moderator.model import rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.llm.port import Completion
    from services.moderator.logic.asking import Asking
    from services.moderator.model.debate import Debate
    from services.moderator.model.turn import Turn
    from services.moderator.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Opening:
    """How a round opens."""

    question: str
    """Empty if there is none, which makes the topic the question."""
    tokens: int = 0
    planned: tuple[str, ...] = ()
    """Questions for the agenda, from this round on."""


class Opener:
    """Finds questions with the moderator's model."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def find_question(self, debate: Debate, turns: Sequence[Turn]) -> Opening:
        """Returns how the next round opens; `turns` are all so far."""
        newest = [turn for turn in turns if turn.text and turn.round == debate.round]
        profile = await self._asking.load_profile()
        if debate.round >= len(debate.agenda):
            return await self._plan(debate, turns, newest, guided=profile.guided)
        planned = rules.planned_question(debate)
        if profile.guided or not newest or not planned:
            return Opening(planned)
        return await self._fit(debate, newest, planned)

    async def _plan(self, debate: Debate, turns: Sequence[Turn], newest: Sequence[Turn], *, guided: bool) -> Opening:
        count = min(prompts.MAX_AGENDA, debate.max_rounds - debate.round)
        asked = [*debate.agenda, *(turn.question for turn in turns)]

        def compose(attempt: int, fault: str) -> Prompt:
            return prompts.compose_agenda(debate, newest, count, guided=guided != (attempt == 1), fault=fault)

        def read(completion: Completion) -> tuple[str, ...]:
            questions = read_questions(completion.text, count, asked)
            refuse_english(debate, "\n".join(questions))
            return questions

        outcome = await self._asking.ask(debate, "agenda", compose, read, budget=rules.question_budget(debate))
        planned = outcome.value or ()
        return Opening(planned[0] if planned else "", outcome.tokens, planned)

    async def _fit(self, debate: Debate, newest: Sequence[Turn], planned: str) -> Opening:
        def read(completion: Completion) -> str:
            question = read_question(completion.text)
            refuse_english(debate, question)
            return question

        outcome = await self._asking.ask(
            debate,
            "question",
            lambda _attempt, fault: prompts.compose_question(debate, newest, planned, fault),
            read,
            budget=rules.question_budget(debate),
            tries=2,
        )
        return Opening(outcome.value or planned, outcome.tokens)
