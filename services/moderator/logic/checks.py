"""What CreateDebate accepts: limits, defaults and the words of each refusal; debate.proto says the same."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mesh.errors import InvalidArgumentError
from mesh.language.tags import parse_language
from mesh.request_ids import check_request_id
from mesh.resource_names import AGENTS
from services.moderator.errors import (
    InvalidBudgetError,
    InvalidLanguageError,
    InvalidRoundsError,
    InvalidSeatsError,
    InvalidSettingsError,
    InvalidTopicError,
)
from services.moderator.model.debate import NewDebate, Seat, Settings, Stance
from services.moderator.model.rules import verdict_reserve

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_TOPIC_CHARACTERS = 3
MAX_TOPIC_CHARACTERS = 500
MIN_SEATS = 2
MAX_SEATS = 8
DEFAULT_ROUNDS = 8
MAX_ROUNDS = 50
DEFAULT_BUDGET_TOKENS = 400_000
MIN_BUDGET_TOKENS = 1_000
MAX_BUDGET_TOKENS = 10_000_000
MAX_CANCEL_REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class AskedSettings:
    """DebateSettings as they came; 0 or None means the default."""

    turn_deadline_us: int | None = None
    max_attempts: int = 0
    floor_allowance_tokens: int = 0
    max_forfeits_in_a_row: int = 0
    sentence_similarity: float = 0.0
    redundant_share: float = 0.0
    redundant_rounds: int = 0


@dataclass(frozen=True, slots=True)
class AskedDebate:
    """CreateDebateRequest as it came; 0 or empty means the default."""

    topic: str
    seats: tuple[tuple[str, Stance | None], ...] = ()
    max_rounds: int = 0
    token_budget: int = 0
    settings: AskedSettings = field(default_factory=AskedSettings)
    request_id: str = ""
    language: str = ""


def check_debate(asked: AskedDebate, default_seats: Sequence[Seat], traceparent: str = "") -> NewDebate:
    """Returns the debate to make, complete. Raises the InvalidArgumentError of the first field that is wrong."""
    _check_topic(asked.topic)
    seats = _check_seats(asked.seats) if asked.seats else tuple(default_seats)
    max_rounds = asked.max_rounds or DEFAULT_ROUNDS
    if not 1 <= max_rounds <= MAX_ROUNDS:
        message = f"a debate has 1 to {MAX_ROUNDS} rounds, not {max_rounds}"
        field_name = "debate.max_rounds"
        raise InvalidRoundsError(message, field=field_name, value=str(max_rounds), limit=str(MAX_ROUNDS))
    settings = _check_settings(asked.settings)
    budget = _check_budget(asked.token_budget or DEFAULT_BUDGET_TOKENS, settings)
    check_request_id(asked.request_id)
    parts: tuple[object, ...] = (asked.topic, asked.seats, asked.max_rounds, asked.token_budget, asked.settings)
    if asked.language:  # left out where it is empty, so that a request from before there was one has its digest
        parts = (*parts, asked.language)
    return NewDebate(
        topic=asked.topic,
        seats=seats,
        max_rounds=max_rounds,
        token_budget=budget,
        settings=settings,
        traceparent=traceparent,
        language=_check_language(asked.language),
        request_id=asked.request_id,
        digest=hashlib.sha256(repr(parts).encode()).hexdigest(),
    )


def check_after_number(after_number: int) -> None:
    """Raises InvalidArgumentError if negative."""
    if after_number < 0:
        message = f"after_number must not be negative, and is {after_number}"
        raise InvalidArgumentError(message, field="after_number", value=str(after_number))


def check_cancel_reason(reason: str) -> None:
    """Raises InvalidArgumentError if it is too long or has control characters."""
    if len(reason) > MAX_CANCEL_REASON_CHARACTERS or _has_control(reason):
        message = f"a reason has at most {MAX_CANCEL_REASON_CHARACTERS} characters on one line"
        raise InvalidArgumentError(message, field="reason", limit=str(MAX_CANCEL_REASON_CHARACTERS))


def _check_topic(topic: str) -> None:
    if not len(topic.strip()) >= MIN_TOPIC_CHARACTERS or len(topic) > MAX_TOPIC_CHARACTERS or _has_control(topic):
        message = (
            f"a topic has {MIN_TOPIC_CHARACTERS} to {MAX_TOPIC_CHARACTERS} characters of text on one line, "
            f"without control characters; this one has {len(topic):,} characters"
        )
        raise InvalidTopicError(message, field="debate.topic", limit=str(MAX_TOPIC_CHARACTERS))


def _check_language(language: str) -> str:
    if not language:
        return ""
    try:
        return parse_language(language)
    except ValueError as error:
        raise InvalidLanguageError(str(error), field="debate.language", value=language[:40]) from None


def _has_control(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"} for character in text)


def _check_seats(asked: Sequence[tuple[str, Stance | None]]) -> tuple[Seat, ...]:
    if not MIN_SEATS <= len(asked) <= MAX_SEATS:
        message = f"a debate has {MIN_SEATS} to {MAX_SEATS} seats, not {len(asked)}"
        raise InvalidSeatsError(message, field="debate.seats", value=str(len(asked)))
    seats: list[Seat] = []
    for index, (agent, stance) in enumerate(asked):
        place = f"debate.seats[{index}]"
        if not AGENTS.is_id(agent):
            message = f"{place}.agent is the id of an agent, {AGENTS.id_form}, such as team-a"
            raise InvalidSeatsError(message, field=f"{place}.agent", value=agent[:64])
        if any(seat.agent == agent for seat in seats):
            message = f"{place}.agent: {agent} has a seat already"
            raise InvalidSeatsError(message, field=f"{place}.agent", value=agent)
        if stance is None:
            message = f"{place}.stance is missing: FOR or AGAINST"
            raise InvalidSeatsError(message, field=f"{place}.stance", value="")
        seats.append(Seat(agent, stance))
    return tuple(seats)


def _check_settings(asked: AskedSettings) -> Settings:
    default = Settings()
    return Settings(
        turn_deadline_us=round(
            1e6 * _check_range("turn_deadline", (asked.turn_deadline_us or default.turn_deadline_us) / 1e6, 0.1, 600)
        ),
        max_attempts=int(_check_range("max_attempts", asked.max_attempts or default.max_attempts, 1, 10)),
        floor_allowance_tokens=int(
            _check_range(
                "floor_allowance_tokens", asked.floor_allowance_tokens or default.floor_allowance_tokens, 200, 100_000
            )
        ),
        max_forfeits_in_a_row=int(
            _check_range("max_forfeits_in_a_row", asked.max_forfeits_in_a_row or default.max_forfeits_in_a_row, 1, 50)
        ),
        sentence_similarity=_check_range(
            "sentence_similarity", asked.sentence_similarity or default.sentence_similarity, 0.5, 1
        ),
        redundant_share=_check_range("redundant_share", asked.redundant_share or default.redundant_share, 0.1, 1),
        redundant_rounds=int(
            _check_range("redundant_rounds", asked.redundant_rounds or default.redundant_rounds, 1, 50)
        ),
    )


def _check_range(name: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:  # also refuses NaN
        message = f"settings.{name} is {least:g} to {most:g}, not {value:g}"
        raise InvalidSettingsError(message, field=f"debate.settings.{name}", value=f"{value:g}")
    return value


def _check_budget(budget: int, settings: Settings) -> int:
    if not MIN_BUDGET_TOKENS <= budget <= MAX_BUDGET_TOKENS:
        message = f"token_budget is {MIN_BUDGET_TOKENS:,} to {MAX_BUDGET_TOKENS:,}, not {budget:,}"
        raise InvalidBudgetError(message, field="debate.token_budget", value=str(budget), limit=str(MIN_BUDGET_TOKENS))
    least = settings.floor_allowance_tokens + verdict_reserve(budget)
    if budget < least:
        message = (
            f"token_budget {budget:,} does not pay for one floor ({settings.floor_allowance_tokens:,}) and the verdict "
            f"({verdict_reserve(budget):,}); lower settings.floor_allowance_tokens or raise it"
        )
        raise InvalidBudgetError(message, field="debate.token_budget", value=str(budget), limit=str(least))
    return budget
