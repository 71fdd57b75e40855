"""What a debater tells its model, and what it makes of the answer: pure functions from plain values to messages.

Written for small models (1.5B), which slide to the other side in the middle of a sentence: the answer is JSON whose
schema fixes how each sentence begins, one-sided up to the verb's object, and leaves no comma for a second thought. The
beginnings differ from round to round and take up the person of whom the other side spoke. `tidy` makes a turn of the
answer, or of plain prose where a server knows no schemas; `unusable` says why an answer cannot be a turn.
"""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from mesh.llm.patterns import literal
from mesh.llm.port import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORDS = 100
"""Words a turn may have: about half a minute of speech."""

MIN_WORDS = 20
"""A turn shorter than this says nothing. Answers to `ask` may be short."""

FIRM_WORDS = 35
"""Words that must be kept before a concession is cut off: below, it belongs to the refutation."""

MAX_CHARACTERS = 4000
"""A longer answer is no turn: see the limit of Turn.text."""

OWN_POINTS = 3
POINT_CHARACTERS = 60
"""Earlier turns of its own that a model is reminded of, and how much of each: of more, a small one copies."""

HEARD_CHARACTERS = 80
"""What a model is shown of the turn that it answers, which it copies too; the person named there comes on top."""

SLOT_WORDS = (3, 30)
"""Words that may follow the beginning of a sentence. A small model writes the last ones as one, so few get there."""

SHORT_SENTENCE = 6
"""Different words below which a sentence may come again: "That is not true." """

REPEAT_RATIO = 0.8
"""Share of an earlier turn, or of a sentence of it, that makes an answer or a sentence a repetition."""

SLOTS: Mapping[str, tuple[str, ...]] = {
    "FOR": ("benefit", "winners", "example", "reply"),
    "AGAINST": ("harm", "victims", "example", "reply"),
}
"""What the sentences of a turn are about, in order; there is no reply before somebody else has spoken."""

BEGINNINGS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "FOR": (
        (
            "The greatest gain from {it} is that people can",
            "Helped most are people who",
            "Think of a teacher who now has time for",
            "The {person} whom my opponent pities can gain",
        ),
        (
            "{It} helps ordinary people most because they gain",
            "They can finally",
            "Think of a shop owner who can now",
            "The {person} of whom my opponent spoke will also find",
        ),
        (
            "{It} already helps people who work in",
            "There they can now",
            "Think of a nurse who has more",
            "My opponent pities one {person} and is silent about all those who enjoy",
        ),
        (
            "People feared the new once before and then it brought them",
            "Think of a weaver who in those days found",
            "In the same way {it} will bring",
            "My opponent's {person} need not worry because there will be",
        ),
        (
            "{It} will make most people richer because they gain",
            "Lower prices help people to buy",
            "Think of a family that can now afford",
            "For every {person} whom my opponent pities many others earn",
        ),
        (
            "In ten years we will be glad that {it} brought",
            "There will be far more",
            "Think of a student who will soon",
            "My opponent's {person} has every chance to find",
        ),
        (
            "People can adapt fast because they have",
            "A skill that pays well is",
            "Think of a worker of fifty who has learned to",
            "My opponent gives up on the {person} but everybody can learn to",
        ),
        (
            "The gap between rich and poor grows smaller because {it} gives the poor",
            "Regions that were forgotten now have",
            "Think of a young woman in a village who can now",
            "My opponent's {person} will be better off with",
        ),
        (
            "People can trust {it} because it helps them to",
            "Fewer people will suffer from",
            "Think of a patient who was saved by",
            "What my opponent's {person} suffered can be prevented by",
        ),
        (
            "Good rules are enough to",
            "With them everybody can enjoy",
            "Think of a small town that will gain",
            "My opponent's {person} is best protected by",
        ),
    ),
    "AGAINST": (
        (
            "The greatest damage from {it} is that people lose",
            "Worst hit are people who",
            "Think of a cashier who can no longer",
            "For every {person} whom my opponent praises many others have to give up",
        ),
        (
            "Ordinary people pay the price for {it} because they lose",
            "They can no longer",
            "Think of a lorry driver who has lost",
            "My opponent's {person} is lucky but most people must fear",
        ),
        (
            "{It} already harms people who work in",
            "They have to fear",
            "Think of a young secretary who lost",
            "My opponent speaks of one {person} and is silent about all those who suffer from",
        ),
        (
            "People were promised a better life once before and instead they lost",
            "Think of a blacksmith who in those days lost",
            "Because of {it} the same will happen to",
            "What my opponent's {person} wins is paid for by people who no longer have",
        ),
        (
            "{It} will make most people poorer because they lose",
            "The profit goes only to",
            "Think of a pensioner who can no longer pay for",
            "My opponent's {person} will not pay the bills of those who",
        ),
        (
            "In ten years we will regret that {it} destroyed",
            "There will be far fewer",
            "Think of a young graduate who will never get",
            "Even my opponent's {person} will one day be without",
        ),
        (
            "People cannot adapt fast enough because they have no",
            "What they learned in many years is worth nothing when",
            "Think of a mechanic of fifty who cannot",
            "My opponent's {person} had help but most people get no",
        ),
        (
            "The gap between rich and poor grows wider because {it} takes from the poor their",
            "The rich keep for themselves",
            "Think of a small town that has lost its",
            "One lucky {person} does not make up for all those who cannot",
        ),
        (
            "Nobody can trust {it} because it fails when",
            "A single mistake can cost people their",
            "Think of a patient who was harmed by",
            "My opponent's {person} will be the first to suffer from",
        ),
        (
            "Laws come too late and cannot stop",
            "Nobody is held responsible when people lose",
            "Think of a father who asks in vain for",
            "My opponent's {person} does not protect anybody from",
        ),
    ),
}
"""For each stance and round, in the order of the moderator's questions, how the sentences of a turn begin. Each is
one-sided as far as it goes, so that whatever a small model adds ("people lose ...") stays on its side."""

_PERSON = re.compile(r"\bThink of an? (?P<person>(?:\w+ ){0,4}?\w+) (?:who|that)\b")
_NAME = re.compile(r"[\w'\u2019-]+(?: [\w'\u2019-]+){0,3}")
"""A topic's cause that is short and plain enough to stand in a pattern."""
_WORD = "[A-Za-z0-9\u00c0-\u00ff'\u2019-]+"

_IMPACT = re.compile(
    r"^(?:the )?(?:(?P<a>.+?)(?:'s|’s|s') (?:impact|effect|effects|influence|consequences) (?:on|for) (?P<b>.+)"
    r"|(?:impact|effect|effects|influence|consequences) of (?P<c>.+?) (?:on|for) (?P<d>.+))$",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"^(?:should|is|are|do|does|can|will|would|must|has|have)\b.*\?$", re.IGNORECASE)


def position(topic: str, stance: str) -> str:
    """Returns what the stance claims, as a sentence: a topic need not be a claim that one can be for or against."""
    good = stance == "FOR"
    bare = topic.strip().rstrip(".")
    if found := _IMPACT.match(bare):
        cause, target = found["a"] or found["c"], found["b"] or found["d"]
        verb = "are" if cause.lower().endswith("s") and not cause.lower().endswith("ss") else "is"
        return f"{cause} {verb} {'good' if good else 'bad'} for {target}"
    if _QUESTION.match(bare):
        return f'the answer to "{bare}" is {"yes" if good else "no"}'
    return f'"{bare}" is {"right and does good" if good else "wrong and does harm"}'


def turn(
    *,
    topic: str,
    stance: str,
    question: str,
    round_number: int,
    own: Sequence[str],
    others: Sequence[str],
    complaint: str = "",
    plain: bool = False,
) -> tuple[list[Message], Mapping[str, Any] | None]:
    """Returns the chat for one turn, and the schema of the answer; None means prose.

    `stance` is "FOR" or "AGAINST"; `own` and `others` are the turns heard so far, oldest first; `complaint` is what was
    wrong with the answer before, on a new try; `plain` asks for prose, for servers that know no schemas. A topic in
    another script than Latin gets prose in its language.
    """
    claim = position(topic, stance)
    latin = _is_latin(_letters(topic))
    sentences = dict(zip(SLOTS[stance], _beginnings(topic, stance, round_number, others), strict=False))
    parts = []
    if others and not complaint:  # what a small model copied once, it copies again
        named = f" Then of a {_person(others)}." if _person(others) else ""
        parts.append(f"Your opponent spoke of this: {shorten(first_sentence(others[-1]), HEARD_CHARACTERS)}{named}")
    if own:
        points = " / ".join(shorten(first_sentence(text), POINT_CHARACTERS) for text in own[-OWN_POINTS:])
        parts.append(f"You said already, so not again: {points}")
    parts.append(f"Question: {question}")
    parts.append(f"Answer the question and show that {claim}. Be concrete: name people, places and things.")
    if not latin:
        parts.append("Write 3 or 4 full sentences in the language of the topic, no list.")
    elif plain:
        parts.append("Write one sentence with each of these beginnings, no list:")
        parts.extend(f"{beginning} ..." for beginning in sentences.values())
    else:
        parts.append("Answer in JSON with short full sentences that begin like this:")
        parts.extend(f'"{slot}": "{beginning} ..."' for slot, beginning in sentences.items())
    if complaint:
        parts.append(f"Your last answer could not be used: {complaint}. Write a different one.")
    system = f"You are a debater. You argue that {claim}. You speak only of the " + (
        "good that it does." if stance == "FOR" else "harm that it does."
    )
    chat = [Message("system", system), Message("user", "\n".join(parts))]
    return chat, _schema(sentences) if latin and not plain else None


def _beginnings(topic: str, stance: str, round_number: int, others: Sequence[str]) -> list[str]:
    rounds = BEGINNINGS[stance]
    chosen = rounds[(round_number - 1) % len(rounds)]
    found = _IMPACT.match(topic.strip().rstrip("."))
    cause = (found["a"] or found["c"]) if found else ""
    it = cause if _NAME.fullmatch(cause) else "it"
    person = _person(others) or "person"
    filled = [each.format(it=it, It=it[:1].upper() + it[1:], person=person) for each in chosen]
    return filled if others else filled[:-1]


def _person(others: Sequence[str]) -> str:
    """Returns of whom the other side spoke in its last turn, such as "young nurse"; empty if of nobody."""
    found = _PERSON.search(others[-1]) if others else None
    return found["person"] if found else ""


def _schema(sentences: Mapping[str, str]) -> Mapping[str, Any]:
    """Returns the schema of an object of sentences with these beginnings; after a comma a small model would concede."""
    least, most = SLOT_WORDS
    rest = f"( {_WORD}){{{least},{most}}}\\.$"
    return {
        "type": "object",
        "properties": {
            slot: {"type": "string", "pattern": f"^{literal(beginning)}{rest}"} for slot, beginning in sentences.items()
        },
        "required": list(sentences),
        "additionalProperties": False,
    }


def ask(*, agent: str, question: str) -> list[Message]:
    """Returns the chat for a question put to the agent outside of a debate."""
    system = (
        f"You are {agent}, a debater with clear opinions. Answer the question in at most 100 words of plain prose, "
        "without a greeting."
    )
    return [Message("system", system), Message("user", question)]


def first_sentence(text: str) -> str:
    """Returns the first sentence of a turn, at most 200 characters."""
    return shorten(re.split(r"(?<=[.!?])\s+", text.strip(), maxsplit=1)[0], 200)


def shorten(text: str, characters: int) -> str:
    """Returns the text, or what of it ends at a sentence, else at a word, within that many characters."""
    flat = " ".join(text.split())
    if len(flat) <= characters:
        return flat
    cut = flat[:characters]
    end = max(cut.rfind(mark) for mark in (". ", "! ", "? "))
    return cut[: end + 1] if end > characters // 2 else cut.rsplit(" ", 1)[0] + " ..."


_LABEL = re.compile(
    r"^\W*(?:(?:team|side|speaker|debater)\s+\w+|for|against|pro|con|opponent|me|answer|response|rebuttal|argument|"
    r"round \d+(?: of \d+)?|paragraph|topic|position|my (?:position|answer|argument))\s*[:\-–—]\s*",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"^(?:(?:good (?:morning|afternoon|evening|day)|hello|hi|greetings|dear|ladies and gentlemen|honou?rable|esteemed|"
    r"distinguished|thank you|thanks|welcome)\b[^.!?]*[.!?]\s+|"
    r"(?:ladies and gentlemen|thank you|hello|good (?:morning|afternoon|evening))\s*,\s*|"
    r"(?:as|on behalf of|speaking for|representing|we at|i am from)\s+(?:a |the |my )?"
    r"(?:team|side|debater|member)\b[^,.]*[,.]\s*|"
    r"(?:certainly|sure|of course|absolutely|great)\b[!,.]\s*|"
    r"(?:here is|here's|this is) (?:my|the|a)\b[^.:]*[.:]\s*)",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"\s*(?:thank you(?: very much| for [^.!?]*)?|thanks(?: for [^.!?]*)?)[.!]*$", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:as an ai\b|as a (?:large )?language model|i(?:'m| am) (?:sorry|unable|not able)|i (?:cannot|can't|can not) "
    r"(?:assist|help|provide|answer|fulfil|take|argue)|i apologi[sz]e)",
    re.IGNORECASE,
)
_CONCESSION = re.compile(
    r"(?:however|on the other hand|nevertheless|that said|at the same time|it is (?:also )?"
    r"(?:important|essential|crucial|worth)|in conclusion|overall|ultimately|while (?:it|there|ai|this)\b)",
    re.IGNORECASE,
)
"""How a sentence begins with which a small model leaves its side or starts to sum up."""

_VALUE = re.compile(r'"\w+"\s*:\s*(?P<text>"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")')


def _prose(text: str) -> str:
    """Returns the sentences of an answer in JSON, also of one that was cut off; another answer as it is."""
    if not text.lstrip().startswith("{"):
        return text
    values = [str(json.loads(found["text"], strict=False)).strip() for found in _VALUE.finditer(text)]
    return " ".join(values).encode(errors="ignore").decode() or text  # JSON may hold half a surrogate pair


def tidy(text: str, *, cut: bool = False, heard: Sequence[str] = ()) -> str:
    """Returns an answer as one paragraph without JSON, labels, greetings, quotes around it or list marks.

    What is beyond WORDS is left out sentence by sentence, and so is what follows a turn to the other side ("However,
    it also ..."): small models cannot stop. With `heard`, sentences that repeat one of these turns go. `cut`: the model
    was stopped by its limit, so a half sentence at the end is taken off; it is in any case when the text ends without
    a mark.
    """
    text = _prose(re.sub(r"```(?:\w*)", " ", text))
    text = re.sub(r"(?m)^\s*(?:#+\s.*$|[-*•]\s+|\d+[.)]\s+)", "", text)
    text = " ".join(text.replace("**", "").split())
    before = None
    while before != text:
        before = text
        text = _GREETING.sub("", _LABEL.sub("", text)).strip()
        if len(text) > 1 and text[0] in "\"“'" and (text[-1] in "\"”'" or text.count(text[0]) == 1):
            text = text.strip("\"“”'").strip()
    text = _CLOSING.sub("", text).strip()
    if text and (cut or text[-1] not in '.!?"”)'):
        end = max(text.rfind(mark) for mark in ".!?")
        text = text[: end + 1] if end > len(text) // 3 else text
    if len(text) <= MAX_CHARACTERS:  # else not a turn at all: `unusable` says so
        text = _shorter(_new(_sentences(text), heard))
    return text[:1].upper() + text[1:]


def _new(sentences: Sequence[str], heard: Sequence[str]) -> Sequence[str]:
    """Returns the sentences that were not said before."""
    kept: list[str] = []
    words_of_kept: list[frozenset[str]] = []
    before = [(_words(turn), turn) for turn in heard]
    for sentence in sentences:
        words = _words(sentence)
        if not _is_said(words, before, words_of_kept):
            kept.append(sentence)
            words_of_kept.append(words)
    return kept


def _is_said(
    words: frozenset[str], before: Sequence[tuple[frozenset[str], str]], kept: Sequence[frozenset[str]]
) -> bool:
    """Says whether an earlier turn, or this one, has a sentence in nearly these words."""
    enough = REPEAT_RATIO * len(words)
    if len(words) < SHORT_SENTENCE:
        return False
    if any(len(words & others) >= enough for others in kept):
        return True
    return any(
        len(words & _words(sentence)) >= enough
        for all_words, turn in before
        if len(words & all_words) >= enough
        for sentence in _sentences(turn)
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", text)


def _shorter(sentences: Sequence[str]) -> str:
    """Returns the sentences before WORDS is passed and before the first that concedes, but enough for a turn."""
    kept: list[str] = []
    words = 0
    for sentence in sentences:
        length = len(sentence.split())
        if words >= FIRM_WORDS and (words + length > WORDS or _CONCESSION.match(sentence)):
            break
        kept.append(sentence)
        words += length
    return " ".join(kept)


def unusable(text: str, heard: Sequence[str], *, topic: str) -> str:
    """Returns why a tidied answer cannot be a turn, as a clause for people and for the next try; empty if it can.

    `heard` are all turns so far, own ones included; `topic` lets an answer in another script be seen.
    """
    words = text.split()
    unspaced = len(words) < len(text) / 20  # Chinese, Japanese, Thai
    too_short = not unspaced and len(words) < MIN_WORDS
    checks = (
        (lambda: not words, "it was empty"),
        (lambda: len(text) > MAX_CHARACTERS, f"it had {len(text):,} characters"),
        (lambda: _REFUSAL.search(text), "it refused to argue"),
        (lambda: not _is_prose(text, topic), "it was not prose in the topic's language"),
        (lambda: too_short, f"it had only {len(words)} words that were new"),
        (lambda: len({word.lower() for word in words}) < 0.4 * len(words), "it repeated the same words"),
        (lambda: _repeats(text, heard), "it repeated an earlier turn"),
    )
    return next((reason for failed, reason in checks if failed()), "")


def _is_prose(text: str, topic: str) -> bool:
    """Tells whether it is mostly letters and, if the topic is in Latin script, they are too."""
    letters = _letters(text)
    return len(letters) >= 0.6 * len(text) and (_is_latin(letters) or not _is_latin(_letters(topic)))


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))


def _is_latin(letters: str) -> bool:
    return letters.isascii() or sum(letter < "\u0250" for letter in letters) >= 0.9 * len(letters)


def _repeats(text: str, heard: Sequence[str]) -> bool:
    """Tells whether the text is nearly an earlier turn; word order is compared only where the words are the same."""
    words = text.lower().split()
    distinct = frozenset(words)
    for earlier in heard:
        others = earlier.lower().split()
        if len(distinct.intersection(others)) < REPEAT_RATIO * 0.75 * len(distinct):
            continue
        if SequenceMatcher(None, words, others, autojunk=False).ratio() >= REPEAT_RATIO:
            return True
    return False
