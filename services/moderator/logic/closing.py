"""Closes a debate one paid answer at a time: digests of a long one's parts, the summary, the judgement.

Each is stored before the next is asked for, so that a crash pays at most one of them again. What is judged is the whole
debate: what exceeds the model's context is digested part by part, and what exceeds the budget is shortened evenly.
Which side is scored first follows from the debate's id and turns with each try, so that none is favoured by its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.moderator import prompts
from services.moderator.answers import read_judgement, read_prose, read_summary
from services.moderator.logic.asking import INSTRUCTION_TOKENS, TRIES, prompt_room, refuse_english, seed_of
from services.moderator.model import rules
from services.moderator.model.debate import StopReason
from services.moderator.model.judgement import Absence, Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.llm.port import Completion, Profile
    from services.moderator.logic.asking import Asking, Outcome
    from services.moderator.model.change import Change
    from services.moderator.model.debate import Debate, Seat
    from services.moderator.model.judgement import Judgement
    from services.moderator.model.turn import Turn
    from services.moderator.prompts import Prompt

# Parts that are digested at most; with a context of 4,096 tokens, some 200 turns.
MAX_DIGESTS = 20


class Closer:
    """Writes summary and judgement with the moderator's model."""

    def __init__(self, asking: Asking, pod: str) -> None:
        self._asking = asking
        self._pod = pod

    async def advance(self, debate: Debate, turns: Sequence[Turn]) -> Callable[[int], Change | None]:
        """Does what comes next of the closing; returns what makes the change of it, given the time."""
        spoken = [turn for turn in turns if turn.text]
        if not spoken:
            return lambda now: rules.close(debate, None, Absence.NOTHING_SAID, 0, now)
        if debate.summary or debate.summary_absence is not None:
            judged = await self._judge(debate, spoken)
            return lambda now: rules.close(debate, judged.value, judged.absence, judged.tokens, now)
        profile = await self._asking.load_profile()
        tokens = 0
        part = _choose_part(debate, spoken, profile)
        if part:
            digested = await self._digest(debate, part, profile)
            digest = digested.value
            if digest is not None:
                return lambda now: rules.record_digest(debate, digest, digested.tokens, self._pod, now)
            tokens = digested.tokens
        summed = await self._sum_up(debate, spoken, profile, tokens)
        tokens += summed.tokens
        return lambda now: rules.record_summary(debate, summed.value or "", summed.absence, tokens, self._pod, now)

    async def _digest(self, debate: Debate, part: Sequence[Turn], profile: Profile) -> Outcome[Digest]:
        def read(completion: Completion) -> Digest:
            return Digest(part[-1].number, read_prose(completion.text, cut=completion.finish_reason == "length"))

        room = prompt_room(profile, prompts.DIGEST_TOKENS)
        return await self._asking.ask(
            debate,
            f"digest {len(debate.digests) + 1}",
            lambda _attempt, fault: prompts.compose_digest(debate, part, room, fault),
            read,
            budget=rules.closing_budget(debate),
            tries=_count_tries(debate),
        )

    async def _sum_up(self, debate: Debate, spoken: Sequence[Turn], profile: Profile, tokens: int) -> Outcome[str]:
        rest = _list_undigested(debate, spoken)
        agents = [seat.agent for seat in prompts.speaking_seats(debate, debate.digests, rest)]
        budget = rules.closing_budget(debate) - tokens
        answer_tokens = prompts.summary_tokens(len(agents))
        room = min(prompt_room(profile, answer_tokens), budget // 2 - answer_tokens - INSTRUCTION_TOKENS)

        def compose(attempt: int, fault: str) -> Prompt:
            as_json = profile.guided != (attempt == 1)
            return prompts.compose_summary(debate, debate.digests, rest, room, guided=as_json, fault=fault)

        return await self._asking.ask(
            debate,
            "summary",
            compose,
            lambda completion: read_summary(completion.text, agents, cut=completion.finish_reason == "length"),
            budget=budget,
            tries=_count_tries(debate),
            prefer=lambda summary: refuse_english(debate, summary),
        )

    async def _judge(self, debate: Debate, spoken: Sequence[Turn]) -> Outcome[Judgement]:
        profile = await self._asking.load_profile()
        rest = _list_undigested(debate, spoken)
        seats = prompts.speaking_seats(debate, debate.digests, rest)
        agents = [seat.agent for seat in seats]
        numbers = [turn.number for turn in spoken]
        budget = rules.closing_budget(debate)
        answer_tokens = prompts.judgement_tokens(len(agents))
        room = min(prompt_room(profile, answer_tokens), budget - answer_tokens - INSTRUCTION_TOKENS)

        def compose(attempt: int, fault: str) -> Prompt:
            sides = _rotate(seats, seed_of(debate, "sides") + attempt)
            as_json = profile.guided != (attempt == 1)
            return prompts.compose_judgement(
                debate, debate.digests, rest, sides, numbers, room, as_json=as_json, fault=fault
            )

        return await self._asking.ask(
            debate,
            "verdict",
            compose,
            lambda answer: read_judgement(answer.text, agents, numbers, cut=answer.finish_reason == "length"),
            budget=budget,
            tries=1 if debate.summary_absence is Absence.MODEL_FAILED else _count_tries(debate),
            prefer=lambda judgement: refuse_english(debate, judgement.rationale),
        )


def _count_tries(debate: Debate) -> int:
    return 1 if debate.stop_reason is StopReason.MODEL_UNAVAILABLE else TRIES


def _list_undigested(debate: Debate, spoken: Sequence[Turn]) -> list[Turn]:
    through = debate.digests[-1].through if debate.digests else 0
    return [turn for turn in spoken if turn.number > through]


def _choose_part(debate: Debate, spoken: Sequence[Turn], profile: Profile) -> list[Turn]:
    """Returns the turns to digest next; none if the rest fits, or if digesting it cannot be paid for.

    The newest turns, as many as half of the room holds, are judged as they were said.
    """
    rest = _list_undigested(debate, spoken)
    cost = prompts.estimate_record(debate, debate.digests, rest)
    room = prompt_room(profile, prompts.summary_tokens(len(debate.seats)))  # a judgement takes less
    if cost <= room or len(debate.digests) >= MAX_DIGESTS or rules.closing_budget(debate) < 2 * cost:
        return []
    newest = len(_take_within(debate, rest[::-1], room // 2))
    return _take_within(debate, rest[: len(rest) - newest], prompt_room(profile, prompts.DIGEST_TOKENS))


def _take_within(debate: Debate, turns: Sequence[Turn], room: int) -> list[Turn]:
    """Returns as many of the first turns as fit, at least one if there is one."""
    found: list[Turn] = []
    for turn in turns:
        room -= prompts.estimate_record(debate, (), [turn])
        if found and room < 0:
            break
        found.append(turn)
    return found


def _rotate(seats: Sequence[Seat], by: int) -> list[Seat]:
    start = by % len(seats)
    return [*seats[start:], *seats[:start]]
