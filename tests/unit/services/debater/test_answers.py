"""What a debater makes of answers: all that argues comes through as it was said, in any language and wrapping."""

from __future__ import annotations

import json

import pytest

from services.debater.answers import (
    FIELD_CHARACTERS,
    MAX_CHARACTERS,
    explain_doubt,
    explain_unusable,
    list_sentences,
    render_draft,
    tidy,
)

POINT = (
    "Automation raises the pay of welders who run the new machines, and the plant in Ulm hired forty more of them "
    "last spring after it bought its robots."
)
FIELDS = ("answer", "point", "evidence")

SAID = {
    "plain": POINT,
    "short": "No: nobody asked them.",
    "long": " ".join(f"In town number {number} the shops sold more than before." for number in range(70)),
    "Spanish": "¿Quién gana? Los soldadores: la fábrica de Ulm contrató a cuarenta más.",
    "Chinese": "自动化提高了焊工的工资。乌尔姆的工厂在购买机器人之后又雇用了四十名焊工。",
    "Arabic": "الأتمتة ترفع أجور اللحامين، وقد وظّف المصنع أربعين عاملاً إضافياً.",
    "Hindi": "स्वचालन से वेल्डरों का वेतन बढ़ता है। उल्म के कारखाने ने चालीस और लोगों को काम दिया।",
    "emoji": "🚗🚫🌳👨‍👩‍👧",
    "it begins as some refusals do": "I cannot accept that cities belong to cars. They belong to people.",
    "it begins as a thanks does": "Thank you, but thanks do not pay rents. Wages do.",
    "it turns round within": "However, it costs jobs. Ultimately, that decides the matter.",
    "a colon": "Three things count: wages, time and air.",
    "brackets": "[1] is the study of Ulm, and it says {nothing} of the kind.",
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_what_was_said_comes_through(said: str) -> None:
    """Whatever argues is taken, and not a character of it is changed."""
    assert tidy(said) == said
    assert explain_unusable(said) == ""


@pytest.mark.parametrize(
    "written",
    [
        f"  {POINT}\n",
        f'"{POINT}"',
        f"Team A: {POINT}",
        f"**team-a:** {POINT}",
        f"```\n{POINT}\n```",
        f"- {POINT}",
        json.dumps({"point": POINT}),
        json.dumps({"thought": "They are weak on wages.", "point": POINT}),
        json.dumps({"answer": "", "point": POINT, "evidence": POINT}),
        f'```json\n{{"point": "{POINT}"}}\n```',
        f'Here it is:\n{{"point": "{POINT}"}}',
        f'{{"point": "{POINT}", "evidence": "',
        f'{{"point": "\\ud800{POINT}"}}',
        POINT.replace("and the", "\nand the").join(('{"point": "', '"}')),
    ],
)
def test_what_stands_around_it_goes(written: str) -> None:
    """Fences, JSON (wrong, cut off, with other fields), labels, quotes and marks are no part of a turn."""
    assert tidy(written, fields=FIELDS, names=["team-a", "team a"]) == POINT


def test_fields_are_spoken_in_order() -> None:
    """A guided answer is its fields' values, one after the other."""
    written = json.dumps({"evidence": "Ulm shows it.", "answer": "Nobody is fired.", "point": "Pay rises."})
    assert tidy(written, fields=FIELDS) == "Nobody is fired. Pay rises. Ulm shows it."
    written = json.dumps({"answer": "Nobody is fired", "point": "Why not?", "evidence": "Ulm"})
    assert tidy(written, fields=FIELDS) == "Nobody is fired. Why not? Ulm"
    assert tidy(json.dumps({"answer": "没有人被解雇", "point": "工资上涨"}), fields=FIELDS) == "没有人被解雇。 工资上涨"


def test_half_a_sentence_at_the_limit_goes() -> None:
    """What the token limit or a field's limit cut off is left out, but never the only sentence, and only then."""
    assert tidy(f"{POINT} And then they", cut=True) == POINT
    assert tidy(f"{POINT} And then they") == f"{POINT} And then they"
    assert tidy("And then they", cut=True) == "And then they"
    assert tidy("自动化提高工资。工厂又雇用了四", cut=True) == "自动化提高工资。"
    full = f"{POINT} " + "and so on " * 30
    assert tidy(json.dumps({"point": full[:FIELD_CHARACTERS], "evidence": "Ulm."}), fields=FIELDS) == f"{POINT} Ulm."


def test_a_field_that_only_copies_earlier_turns_is_left_out() -> None:
    """What the other side, or the speaker itself, said word for word is no answer; alone it stays, to be doubted."""
    said = list_sentences([f"Zoos teach children. {POINT}", "Zoos cost money."])
    copied = json.dumps({"answer": "Zoos cost money. Zoos teach children.", "point": "Lions need room."})
    assert tidy(copied, fields=("answer", "point"), said=said) == "Lions need room."
    mixed = json.dumps({"answer": "Zoos cost money. So do schools.", "point": "Lions need room."})
    assert tidy(mixed, fields=("answer", "point"), said=said).startswith("Zoos cost money. So do schools.")
    alone = json.dumps({"answer": "Zoos cost money.", "point": "Zoos teach children."})
    assert tidy(alone, fields=("answer", "point"), said=said) == "Zoos cost money. Zoos teach children."


def test_the_limit_of_a_turn() -> None:
    """4,000 characters are taken as they are; more end at a sentence; 100 KB are no turn."""
    said = "Wages rise again. " * 222 + "Now."
    assert len(said) == MAX_CHARACTERS
    assert tidy(said) == said
    assert len(tidy(said * 2)) <= MAX_CHARACTERS
    assert tidy(said * 2).endswith(".")
    assert explain_unusable(tidy(said * 6)) == "it had 24,000 characters"


@pytest.mark.parametrize("text", ["", " \n", "...", "{}", '""', "{'", "```\n```", '{"point": "'])
def test_no_answer(text: str) -> None:
    """An answer without a word or a sign is empty."""
    assert explain_unusable(tidy(text)) == "it was empty"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this request.",
        "As an AI language model, I do not take sides.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Je suis désolé, mais je ne peux pas répondre.",
        "很抱歉，我无法参与这样的辩论。",
        "申し訳ありませんが、その質問にはお答えできません。",
        "عذراً، لا أستطيع المساعدة في ذلك.",
        "Извините, но я не могу помочь с этим.",
    ],
)
def test_refusals(text: str) -> None:
    """A short answer about the model or the request is a refusal, in the languages in which models refuse."""
    assert explain_unusable(text) == "it refused to argue"


@pytest.mark.parametrize(
    "text",
    [
        "I cannot help noticing that my opponent names no city.",
        "As an AI model makes mistakes, no court should follow one.",
        "I am sorry for those who lose their parking space, but a city has no duty to store cars.",
        "I won't pretend that nothing changes.",
        "Sorry, but that is wrong: nobody was fired in Ulm.",
        "No puedo aceptar que una ciudad pertenezca a los coches.",
        "我不能接受城市属于汽车的说法。",
        f"I'm sorry, but I cannot agree. {POINT} {POINT} {POINT}",
    ],
)
def test_arguments_that_sound_like_refusals(text: str) -> None:
    """What argues is no refusal, whatever words it begins with."""
    assert explain_unusable(text) == ""


def test_doubt() -> None:
    """A turn said before and one in another language are asked for again; one in its language is not doubted."""
    spanish = SAID["Spanish"]
    repeated = "it repeated sentences that were said before"
    assert explain_doubt(POINT.upper(), list_sentences(["Something else.", f"First. {POINT}"]), "en") == repeated
    assert explain_doubt(f"{POINT} So they say.", list_sentences([POINT]), "en") == repeated
    assert (
        explain_doubt(
            f"'Ulm hired forty more.' In fact it was four, and two of them left. {POINT}",
            list_sentences(["Ulm hired forty more."]),
            "en",
        )
        == ""
    )
    assert explain_doubt(POINT, frozenset(), "es") == "it was in another language"
    assert explain_doubt(SAID["Chinese"] * 2, frozenset(), "en") == "it was in another language"
    assert explain_doubt(spanish, list_sentences([POINT]), "es") == ""
    assert explain_doubt(POINT, list_sentences([spanish]), "en") == ""
    assert explain_doubt(POINT, frozenset(), "") == ""
    assert explain_doubt("OK.", frozenset(), "de") == ""


def test_a_label_in_the_place_of_a_sentence_is_doubtful() -> None:
    """A field that holds only its own name is asked for again in prose; a short answer in prose is an answer."""
    assert explain_doubt("benefits", frozenset(), "en", guided=True) == "it was a label and not a sentence"
    assert explain_doubt("benefits", frozenset(), "en") == ""
    assert explain_doubt("It costs jobs.", frozenset(), "en", guided=True) == ""
    assert explain_doubt("自动化提高工资。", frozenset(), "zh", guided=True) == ""


def test_a_draft_shows_words_only() -> None:
    """Of JSON that is being written only what is spoken shows, and it only grows."""
    written = json.dumps({"answer": "Nobody is fired.", "point": "Pay rises."})
    shown = [render_draft(written[:length], FIELDS) for length in range(len(written) + 1)]
    assert shown[-1] == "Nobody is fired. Pay rises."
    assert [text for text in shown if not shown[-1].startswith(text)] == []
    assert render_draft('{"answer": "', FIELDS) == ""
    assert render_draft("```js") == ""
    assert render_draft("Wages ri") == "Wages ri"
