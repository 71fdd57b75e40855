"""What the moderator asks of its model: the agenda, a round's question, an opinion, digests, summary and judgement.

Pure functions from a debate and its turns to a Prompt. Prompts instruct, in English, and name the language to answer
in; no text here ever reaches a reader. What others wrote stands in them as quoted data. What is said comes first and
what is asked last, so that a server's prompt cache serves summary and judgement alike. A guided model gets a schema of
generic fields; others are asked for lines, and for JSON where lines did not do. `answers` reads what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh.language.tags import language_name
from mesh.language.text import shorten
from mesh.llm import tokens
from mesh.llm.port import Message
from mesh.llm.quoting import QUOTING_RULE, quote_text
from mesh.llm.schemas import object_schema
from services.moderator.answers import (
    MAX_QUESTION_CHARACTERS,
    NEW,
    RATIONALE_CHARACTERS,
    REPEATS,
    SUMMARY_CHARACTERS,
    UNDECIDED,
)
from services.moderator.model.judgement import CRITERIA, MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.moderator.model.debate import Debate, Seat
    from services.moderator.model.judgement import Digest
    from services.moderator.model.turn import Turn

MAX_AGENDA = 10
"""Questions that are planned at once; a longer debate plans the next ones when it comes to them."""
MAX_NAMED_QUESTIONS = 20
"""Of those that were asked, the latest so many are named in a prompt."""

QUESTION_TOKENS = 90
OPINION_TOKENS = 200
DIGEST_TOKENS = 300
"""Room for each answer. In Hindi or Thai a character may be a token, so it is more than English needs."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One call of the model."""

    messages: tuple[Message, ...]
    max_tokens: int
    schema: Mapping[str, Any] | None = None

    @property
    def token_estimate(self) -> int:
        """What the call may cost at most, by estimate."""
        return self.max_tokens + sum(estimate_tokens(message.content) for message in self.messages)


def estimate_tokens(text: str) -> int:
    """Returns about how many tokens a text has, at least one."""
    return tokens.estimate_tokens(text) + 1


def compose_agenda(debate: Debate, turns: Sequence[Turn], count: int, *, guided: bool, fault: str = "") -> Prompt:
    """Returns the prompt for the next `count` questions of the agenda; `turns` are those of the newest round."""
    parts = [_quote_topic(debate), *_quote_asked((*debate.agenda, *(turn.question for turn in turns)))]
    parts += [*_quote_turns(debate, turns)]
    parts.append(
        f"Plan the debate: write {count} questions that the moderator asks, one a round. Each is about another aspect "
        "of the topic, concrete and neutral, so that both sides can answer it in different ways, and has at most 15 "
        f"words. {_language_rule(debate)}"
    )
    schema = None
    if guided:
        item = {"type": "string", "minLength": 8, "maxLength": 150}
        items = {"type": "array", "items": item, "minItems": count, "maxItems": count}
        schema = object_schema({"questions": items})
        parts.append('Answer in JSON: {"questions": [...]}.')
    else:
        parts.append("One question a line, numbered, and nothing else.")
    return _prompt("You moderate a debate.", parts, fault, count * QUESTION_TOKENS + 20, schema)


def compose_question(debate: Debate, turns: Sequence[Turn], planned: str, fault: str = "") -> Prompt:
    """Returns the prompt that lets a model fit the planned question to what was said in the newest round, `turns`."""
    parts = [
        _quote_topic(debate),
        *_quote_turns(debate, turns),
        "This question is planned for the next round: " + quote_text("question", planned),
        "If what was said calls for it, sharpen the question or refer to what was said, on the same aspect; else "
        f"repeat it as it is. One neutral question of at most 25 words, and nothing else. {_language_rule(debate)}",
    ]
    return _prompt("You moderate a debate.", parts, fault, QUESTION_TOKENS)


def compose_opinion(debate: Debate, turns: Sequence[Turn], room: int, *, guided: bool, fault: str = "") -> Prompt:
    """Returns the prompt that asks whether the newest round only repeats; `turns` are all of the debate."""
    earlier = [turn for turn in turns if turn.text and turn.round < debate.round]
    newest = [turn for turn in turns if turn.text and turn.round == debate.round]
    texts = fit_texts([turn.text for turn in (*earlier, *newest)], room)
    said = [_quote_turn(debate, turn, text) for turn, text in zip((*earlier, *newest), texts, strict=True)]
    ask = f"Does round {debate.round} only repeat what was said before it, without a new argument, example or fact?"
    if guided:
        schema = object_schema({"reason": {"type": "string", "maxLength": 300}, "redundant": {"type": "boolean"}})
        how = 'Answer in JSON: "reason", one sentence, then "redundant", true or false.'
    else:
        schema = None
        how = f"Write {REPEATS} or {NEW} on the first line, and your reason, one sentence, on the second."
    parts = [_quote_topic(debate), *said, f"{ask} {how}"]
    return _prompt("You judge strictly what a debate repeats.", parts, fault, OPINION_TOKENS, schema)


def compose_digest(debate: Debate, turns: Sequence[Turn], room: int, fault: str = "") -> Prompt:
    """Returns the prompt for what was argued in a part of a debate that is too long for one prompt."""
    parts = [
        *_quote_record(debate, (), turns, room),
        "This is a part of the debate. Note for each speaker, by name, which points it made, with which facts or "
        "examples, and what it answered to whom, with the numbers of the turns. At most 150 words, plain text. "
        + _language_rule(debate),
    ]
    return _prompt(_JUDGE, parts, fault, DIGEST_TOKENS)


def compose_summary(
    debate: Debate, digests: Sequence[Digest], turns: Sequence[Turn], room: int, *, guided: bool, fault: str = ""
) -> Prompt:
    """Returns the prompt for the summary of all that was said: `digests`, and the `turns` after them."""
    seats = speaking_seats(debate, digests, turns)
    agents = [seat.agent for seat in seats]
    ask = (
        "Sum up for a reader what each side argued, its points and its best example, without judging: "
        f"{_list_sides(seats)}. "
    )
    if guided:
        schema = object_schema(
            {agent: {"type": "string", "minLength": 20, "maxLength": SUMMARY_CHARACTERS} for agent in agents}
        )
        ask += "Answer in JSON: for each of them, under its name, two sentences. "
    else:
        schema = None
        ask += "Plain text of at most 120 words that names each of them. "
    parts = [*_quote_record(debate, digests, turns, room), ask + _language_rule(debate)]
    return _prompt(_JUDGE, parts, fault, summary_tokens(len(agents)), schema)


def compose_judgement(  # noqa: PLR0917 - what is judged, how it is asked for, and what was wrong before
    debate: Debate,
    digests: Sequence[Digest],
    turns: Sequence[Turn],
    sides: Sequence[Seat],
    numbers: Sequence[int],
    room: int,
    *,
    as_json: bool,
    fault: str = "",
) -> Prompt:
    """Returns the prompt for the judgement. `sides`: those who spoke, in the order in which they are scored.

    `numbers`: of all turns that were spoken, digested ones included.
    """
    agents = [seat.agent for seat in sides]
    ask = (
        f"Judge how well each side argued, not whether you agree: {_list_sides(sides)}. Score each from 0 to "
        f"{MAX_SCORE} for argument (points that bear on the topic and hold together), evidence (facts and examples), "
        "rebuttal (answers to what others said) and clarity. Use the whole range: sides rarely argue equally well. "
        f"The winner has the higher scores in sum; it is {UNDECIDED} if they are equal. The rationale says in two "
        f"or three sentences what decided it. {_language_rule(debate)}"
    )
    if as_json:
        schema: Mapping[str, Any] | None = _judgement_schema(agents, numbers)
        how = (
            'Answer in JSON: "scores", for each side by name its four numbers, "winner", "decisive_turns", the numbers '
            'of the one to three turns that decided, and "rationale".'
        )
    else:
        schema = None
        lines = [f"Scores {agent}: argument N, evidence N, rebuttal N, clarity N" for agent in agents]
        lines += [f"Winner: {', '.join(agents)} or {UNDECIDED}", "Deciding turns: one to three numbers of turns"]
        how = "Answer in these lines, with these labels in English:\n" + "\n".join(
            [*lines, "Rationale: your sentences"]
        )
    return _prompt(
        _JUDGE,
        [*_quote_record(debate, digests, turns, room), f"{ask}\n{how}"],
        fault,
        judgement_tokens(len(agents)),
        schema,
    )


def summary_tokens(agents: int) -> int:
    """Returns the room for a summary of so many agents' sides."""
    return 60 + 320 * agents


def judgement_tokens(agents: int) -> int:
    """Returns the room for a judgement of so many agents' sides."""
    return 500 + 50 * agents


def speaking_seats(debate: Debate, digests: Sequence[Digest], turns: Sequence[Turn]) -> list[Seat]:
    """Returns the seats whose agents spoke; where a part is digested, all of them."""
    speakers = {turn.agent for turn in turns if turn.text}
    return [seat for seat in debate.seats if digests or seat.agent in speakers]


def estimate_record(debate: Debate, digests: Sequence[Digest], turns: Sequence[Turn]) -> int:
    """Returns about how many tokens the record has in a prompt, uncut."""
    quoted = [quote_text("part", digest.text) for digest in digests]
    quoted += [_quote_turn(debate, turn, turn.text) for turn in turns if turn.text]
    return sum(map(estimate_tokens, quoted))


def fit_texts(texts: Sequence[str], room: int) -> list[str]:
    """Returns the texts so that they fit into `room` tokens: the longest are shortened, each to the same length."""
    costs = [estimate_tokens(text) for text in texts]
    if sum(costs) <= room:
        return list(texts)
    share, left, rest = 0, max(0, room), len(texts)
    for cost in sorted(costs):
        share = left // rest
        if cost > share:
            break
        left, rest = left - cost, rest - 1
    return [
        text if cost <= share else shorten(text, max(1, len(text) * share // cost))
        for text, cost in zip(texts, costs, strict=True)
    ]


_JUDGE = "You are a neutral judge of a debate."


def _prompt(
    role: str, parts: Sequence[str], fault: str, max_tokens: int, schema: Mapping[str, Any] | None = None
) -> Prompt:
    again = f"\nYour last answer could not be used: {fault}. Answer as asked for." if fault else ""
    messages = Message("system", f"{role} {QUOTING_RULE}"), Message("user", "\n".join(parts) + again)
    return Prompt(messages, max_tokens, schema)


def _language_rule(debate: Debate) -> str:
    return f"Write in {language_name(debate.language)}." if debate.language else "Write in the language of the topic."


def _quote_topic(debate: Debate) -> str:
    return quote_text("topic", debate.topic)


def _quote_asked(asked: Sequence[str]) -> list[str]:
    questions = list(dict.fromkeys(question for question in asked if question))[-MAX_NAMED_QUESTIONS:]
    return [quote_text("asked", question[:MAX_QUESTION_CHARACTERS]) for question in questions]


def _quote_turns(debate: Debate, turns: Sequence[Turn], room: int = 2_000) -> list[str]:
    spoken = [turn for turn in turns if turn.text]
    texts = fit_texts([turn.text for turn in spoken], room)
    return [_quote_turn(debate, turn, text) for turn, text in zip(spoken, texts, strict=True)]


def _quote_turn(debate: Debate, turn: Turn, text: str) -> str:
    stance = next((seat.stance.value.lower() for seat in debate.seats if seat.agent == turn.agent), "")
    return quote_text("turn", text, number=turn.number, round=turn.round, speaker=turn.agent, side=stance)


def _quote_record(debate: Debate, digests: Sequence[Digest], turns: Sequence[Turn], room: int) -> list[str]:
    """Quotes the topic and all that was said, in at most `room` tokens."""
    spoken = [turn for turn in turns if turn.text]
    overhead = estimate_record(debate, (), spoken) - sum(estimate_tokens(turn.text) for turn in spoken)
    texts = fit_texts([*(digest.text for digest in digests), *(turn.text for turn in spoken)], room - overhead)
    parts = [quote_text("part", text, through=digest.through) for digest, text in zip(digests, texts, strict=False)]
    parts += [_quote_turn(debate, turn, text) for turn, text in zip(spoken, texts[len(digests) :], strict=True) if text]
    return [_quote_topic(debate), *parts]


def _list_sides(seats: Sequence[Seat]) -> str:
    return ", ".join(f"{seat.agent} ({seat.stance.value.lower()} the topic's claim)" for seat in seats)


def _judgement_schema(agents: Sequence[str], numbers: Sequence[int]) -> Mapping[str, Any]:
    score = {"type": "integer", "enum": list(range(MAX_SCORE + 1))}
    sides = {agent: object_schema(dict.fromkeys(CRITERIA, score)) for agent in agents}
    turn = {"type": "integer", "enum": list(numbers)}
    return object_schema(
        {
            "scores": object_schema(sides),
            "winner": {"type": "string", "enum": [*agents, UNDECIDED]},
            "decisive_turns": {"type": "array", "items": turn, "minItems": 1, "maxItems": 3},
            "rationale": {"type": "string", "minLength": 20, "maxLength": RATIONALE_CHARACTERS},
        }
    )
