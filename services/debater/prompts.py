"""What a debater tells its model, and what it makes of the answer: pure functions from plain values to messages.

Written for small models (1.5B), read at full length with the embedded one: one task a message, the position as a plain
claim instead of a side's name, and for each round a thing to explain that is one-sided by
itself. `tidy` takes off what such models still add; `unusable` says why an answer cannot be a turn.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from mesh.llm.port import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORDS = 90
"""Words a turn may have: about half a minute of speech."""

MIN_WORDS = 20
"""A turn shorter than this says nothing. Answers to `ask` may be short."""

FIRM_WORDS = 35
"""Words that must be kept before a concession is cut off: below, it belongs to the refutation."""

MAX_CHARACTERS = 4000
"""A longer answer is no turn: see the limit of Turn.text."""

OWN_POINTS = 3
"""Earlier turns of its own that a model is reminded of: more, and a small model repeats instead of avoiding them."""

CLAIM_CHARACTERS = 110
POINT_CHARACTERS = 60
"""What a model is shown of the turn that it answers and of its own: of more, a small one copies whole sentences."""

SHORT_SENTENCE = 6
"""Different words below which a sentence may come again: "That is not true." """

REPEAT_RATIO = 0.8
"""Share of an earlier turn, or of a sentence of it, that makes an answer or a sentence a repetition."""

ANGLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "FOR": (
        ("the biggest good that comes from it", "The good it does is plain:"),
        ("which people are helped most by it, and how", "It helps ordinary people most:"),
        ("one industry that already gains from it", "Look at one industry that gains:"),
        ("a change in history that was feared like this one and turned out well", "History should give us courage:"),
        ("how it raises incomes, lowers prices or brings investment", "It pays off for people:"),
        ("what will be better in ten years because of it", "Ten years from now we will be glad of it:"),
        ("how people learn new skills with it and for it", "People learn and grow with it:"),
        ("how it gives poor or remote people chances they never had", "It opens doors:"),
        ("how it makes things safer, more exact or more reliable", "It makes things safer and better:"),
        ("why good rules are easy to make and stopping it would be a mistake", "Good rules are enough:"),
    ),
    "AGAINST": (
        ("the biggest damage that comes from it", "The damage is plain:"),
        ("which people are hurt most by it, and how", "Ordinary people pay the price:"),
        ("one industry that already suffers from it", "Look at one industry that suffers:"),
        ("a change in history that was praised like this one and left victims behind", "History should warn us:"),
        ("how it pushes down incomes, raises costs or moves money to a few owners", "It makes most people poorer:"),
        ("what will be worse in ten years because of it", "Ten years from now we will regret it:"),
        ("why people cannot retrain fast enough, and which skills are lost", "People cannot keep up:"),
        ("how it makes the gap between rich and poor wider", "The gap only grows wider:"),
        ("how it fails, makes mistakes or invades privacy", "It cannot be trusted:"),
        ("why laws come too late and nobody is held responsible", "Nobody protects us from it:"),
    ),
}
"""For each stance what its turn of a round is about, in the order of the moderator's questions, and how it begins. Each
is one-sided by itself: a small model that has begun with a damage goes on with it, whatever it read before."""

_OPENINGS = tuple(opening.lower() for angles in ANGLES.values() for _, opening in angles)

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
    max_rounds: int,
    own: Sequence[str],
    others: Sequence[str],
    complaint: str = "",
) -> list[Message]:
    """Returns the chat for one turn.

    `stance` is "FOR" or "AGAINST"; `own` and `others` are the turns heard so far, oldest first; `complaint` is what was
    wrong with the answer before, on a new try.
    """
    claim = position(topic, stance)
    good = stance == "FOR"
    angle, opening = ANGLES[stance][(round_number - 1) % len(ANGLES[stance])]
    system = f"You are convinced that {claim}. You write short one-sided speeches: every sentence names " + (
        "a benefit, never a harm." if good else "a harm, never a benefit."
    )
    parts = []
    if others and not complaint:  # what a small model copied once, it copies again
        parts.append(f"The other side said: {shorten(_point(others[-1]), CLAIM_CHARACTERS)} That is wrong.")
    parts.append(f"Question: {question}")
    if own:
        points = " / ".join(shorten(_point(text), POINT_CHARACTERS) for text in own[-OWN_POINTS:])
        parts.append(f"You spoke already about: {points}")
    parts.append(
        f"Explain {angle}. Show that {claim}. Give a concrete example. Write 3 or 4 full sentences, no list. "
        f'Say nothing {"bad" if good else "good"} about it. Begin with these words: "{opening}"'
    )
    if complaint:
        parts.append(f"Your last answer could not be used: {complaint}. Write a different one.")
    return [Message("system", system), Message("user", "\n".join(parts))]


def _point(text: str) -> str:
    """Returns the first sentence of a turn without the words that it was told to begin with."""
    sentence = first_sentence(text)
    opening = next((each for each in _OPENINGS if sentence.lower().startswith(each)), "")
    rest = sentence[len(opening) :].strip()
    return rest[:1].upper() + rest[1:]


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

_FLIPPED = {
    "FOR": re.compile(
        r"\b(?:(?:harms?|damage|drawbacks|disadvantages|risks|costs|dangers) (?:clearly |far |greatly )?outweighs?\b"
        r"|does (?:much )?more harm than good|i (?:strongly )?(?:oppose\b|am (?:opposed|against)\b)"
        r"|(?:overall|net|impact|effect) (?:\w+ ){0,4}(?:is|has been|was) (?:\w+ )?(?:negative|harmful)\b)",
        re.IGNORECASE,
    ),
    "AGAINST": re.compile(
        r"\b(?:(?:benefits?|advantages?|gains) (?:clearly |far |greatly )?outweigh\b|does (?:much )?more good than harm"
        r"|i (?:strongly )?(?:support\b|am in favou?r\b)"
        r"|(?:overall|net|impact|effect) (?:\w+ ){0,4}(?:is|has been|was) (?:\w+ )?(?:positive|beneficial)\b"
        r"|has had a (?:\w+ )?positive (?:impact|effect))",
        re.IGNORECASE,
    ),
}
_ATTRIBUTED = re.compile(
    r"\b(?:opponents?|opponent's|they|you|your|claims?|argues?|arguments?|statement|idea|notion|said|says|while|although"
    r"|even if|whether|not|no|never|wrong|misleading|incorrect|myth|false)\b",
    re.IGNORECASE,
)
"""Words of a sentence that quotes or denies the other side instead of taking it."""


_GOOD = re.compile(
    r"\b(?:benefi|improv|advantag|opportunit|efficien|productiv|prosper|boost|enhanc|empower|positiv|creat\w+ (?:\w+ )"
    r"{0,4}(?:jobs|employment|positions|roles|work|professions)|new (?:jobs|roles|professions)|(?:higher|better"
    r"|rais\w+) (?:wages|pay|incomes?|salaries)|more (?:efficient|accurate|productive|jobs)|fre(?:es|ed|eing|e) up"
    r"|hir\w+ more|grow faster|higher[- ]value|better)",
    re.IGNORECASE,
)
_BAD = re.compile(
    r"\b(?:harm|damag|los[est]|destr|unemploy|under(?:paid|pay|min)|fired\b|laid off|layoff|displac|fail|bias|unfair"
    r"|inequal|gap\b|poor|poverty|low(?:er)? ?-?(?:wage|pay|income|salar|skill)|(?:pay|earn) less|declin|decreas|wors"
    r"|suffer|victim|threat|hurt|expens|struggl|few|only|lack|left behind|behind\b|eliminat|obsolete|invad|concentrat"
    r"|disappear|never|not?\b|cannot|nobody|none|instead|abus|disrupt|negativ|bad\b|weak|difficult|unable|too\b"
    r"|crisis|stagnat|burden|competition|owners|reduc\w+ (?:\w+ )?(?:job|wage|demand|opportunit|income|employ)"
    r"|replac\w+ (?:\w+ )?(?:worker|people|human|employee)|without (?:\w+ )?(?:work|job|income))|n't\b",
    re.IGNORECASE,
)
"""Words of sentences that praise, and of those that do not only praise. What both sides say ("reduces", "costs",
"replaces routine tasks") is not among the second."""
_LOSS = re.compile(
    r"\b(?:harm|damag\w+|job loss\w*|losses|unemployment|inequality|displace\w*|suffer\w*|victims?|poverty|negative)\b",
    re.IGNORECASE,
)
_REMEDY = re.compile(
    r"\b(?:reduc|prevent|less|few|without|avoid|cut|low|instead|not?\b|never|protect|against|help|fight|solv|end|spar"
    r"|fear|rather|despite|decreas|eas)|n't\b",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r"\b(?:but|however|yet|nevertheless|on the other hand)\b", re.IGNORECASE)
_ALSO = re.compile(
    r",? (?:but|while|although|though|even though|yet|and) (?:\w+ ){0,3}?also (?P<rest>[^.!?]*)(?=[.!?])", re.IGNORECASE
)
_HANGS = re.compile(
    r"(?:it|this|that|these|those|they|such|as a result|therefore|thus|another|additionally|furthermore|moreover)\b",
    re.IGNORECASE,
)
"""How a sentence begins that says nothing without the one before it."""
_EXAMPLE = re.compile(
    r"^(?:for example|for instance|additionally|furthermore|moreover|in addition)\s*,\s*", re.IGNORECASE
)
_GOES_ON = re.compile(
    r"(?:it|this|these|as a result|therefore|additionally|furthermore|moreover|in addition|also|thus|for example)\b",
    re.IGNORECASE,
)
"""How a sentence begins that still speaks of the topic's cause without naming it."""


def tidy(text: str, *, cut: bool = False, topic: str = "", stance: str = "", heard: Sequence[str] = ()) -> str:
    """Returns an answer as one paragraph without labels, greetings, quotes around it or list marks.

    What is beyond WORDS is left out sentence by sentence, and so is what follows a turn to the other side ("However,
    it also ..."): small models cannot stop. With `topic` and `stance` single sentences that only praise what the stance
    is against (or the reverse) go, with `heard` those that repeat an earlier turn. `cut`: the model was stopped by its
    limit, so a half sentence at the end is taken off; it is in any case when the text ends without a mark.
    """
    text = re.sub(r"```\w*", " ", text)
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
        text = _shorter(_own_side(_sentences(text), topic, stance, heard))
    return text[:1].upper() + text[1:]


def _own_side(sentences: Sequence[str], topic: str, stance: str, heard: Sequence[str]) -> Sequence[str]:
    """Returns the sentences that say something new for the stance; the words it began with stay before them."""
    kept: list[str] = []
    before = [(_words(turn), turn) for turn in heard]
    lead, dropped = "", False
    for whole in sentences:
        sentence = _without_also(whole, stance)
        if not kept and not dropped:
            lead = next((sentence[: len(each)] for each in _OPENINGS if sentence.lower().startswith(each)), "")
            sentence = sentence[len(lead) :].strip()
        hangs = dropped and _HANGS.match(sentence)
        dropped = bool(hangs or _concedes(sentence, topic, stance) or _said(sentence, before, kept))
        if not dropped:
            if lead and not kept:
                sentence = f"{lead} {_EXAMPLE.sub('', sentence)}"
            kept.append(sentence)
    return kept


def _without_also(sentence: str, stance: str) -> str:
    found = _ALSO.search(sentence)
    if not found or found.start() < len(sentence) // 3:
        return sentence
    rest = found["rest"]
    if stance == "AGAINST":
        concession = _GOOD.search(rest) and not _BAD.search(rest)
    else:
        concession = stance == "FOR" and _LOSS.search(rest) and not _REMEDY.search(rest)
    return sentence[: found.start()] + sentence[found.end() :] if concession else sentence


def _concedes(sentence: str, topic: str, stance: str) -> bool:
    """Tells whether a sentence about the cause that the topic names says only what the other side would say."""
    found = _IMPACT.match(topic.strip().rstrip("."))
    if not found:
        return False
    cause = (found["a"] or found["c"]).lower()
    if (
        not re.search(rf"\b{re.escape(cause)}\b", sentence.lower())
        and not _GOES_ON.match(sentence)
        and not _CONTRAST.search(sentence)
    ):
        return False
    last = _CONTRAST.split(sentence)[-1]
    if stance == "AGAINST":
        return bool(_GOOD.search(sentence)) and not _BAD.search(last)
    return bool(_LOSS.search(last)) and not _REMEDY.search(last) and not _GOOD.search(last)


def _said(sentence: str, before: Sequence[tuple[frozenset[str], str]], kept: Sequence[str]) -> bool:
    """Tells whether an earlier turn, or this one, has the sentence in nearly the same words."""
    words = _words(sentence)
    enough = REPEAT_RATIO * len(words)
    if len(words) < SHORT_SENTENCE:
        return False
    if any(len(words & _words(each)) >= enough for each in kept):
        return True
    return any(
        len(words & _words(each)) >= enough
        for all_words, turn in before
        if len(words & all_words) >= enough
        for each in _sentences(turn)
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


def unusable(text: str, heard: Sequence[str], *, stance: str = "", topic: str = "") -> str:
    """Returns why a tidied answer cannot be said, as a clause for people and for the next try; empty if it can.

    `heard` are all turns so far, own ones included; `stance` of the speaker lets open changes of side be seen, `topic`
    an answer in another script.
    """
    words = text.split()
    unspaced = len(words) < len(text) / 20  # Chinese, Japanese, Thai
    too_short = bool(stance or heard) and not unspaced and len(words) < MIN_WORDS
    checks = (
        (lambda: not words, "it was empty"),
        (lambda: len(text) > MAX_CHARACTERS, f"it had {len(text):,} characters"),
        (lambda: _REFUSAL.search(text), "it refused to argue"),
        (lambda: not _is_prose(text, topic), "it was not prose in the topic's language"),
        (lambda: too_short, f"it had only {len(words)} words that were new and on your side"),
        (lambda: len({word.lower() for word in words}) < 0.4 * len(words), "it repeated the same words"),
        (lambda: _changes_side(text, stance), "it argued for the other side"),
        (lambda: _repeats(text, heard), "it repeated an earlier turn"),
    )
    return next((reason for failed, reason in checks if failed()), "")


def _is_prose(text: str, topic: str) -> bool:
    """Tells whether it is mostly letters and, if the topic is in Latin script, they are too."""
    letters = [character for character in text if character.isalpha()]
    latin = sum(character < "\u0250" for character in letters) >= 0.9 * len(letters)
    return len(letters) >= 0.6 * len(text) and (latin or not topic or any(c >= "\u0250" for c in topic if c.isalpha()))


def _changes_side(text: str, stance: str) -> bool:
    """Tells whether a sentence that quotes nobody says outright what only the other side would say."""
    pattern = _FLIPPED.get(stance)
    if pattern is None or not pattern.search(text):
        return False
    return any(pattern.search(sentence) and not _ATTRIBUTED.search(sentence) for sentence in _sentences(text))


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
