"""Sentences, words and cuts in the scripts that people debate in."""

from __future__ import annotations

from time import process_time

import pytest

from mesh.language.text import (
    MIN_CLAUSE_WORDS,
    count_words,
    drop_half_sentence,
    ends_sentence,
    shorten,
    split_sentences,
    split_words,
)

SENTENCES = {
    "en": [
        "Dr. Smith said e.g. Excel sheets, i.e. tables, did this before.",
        "Wages fell by 3.5 percent in the U.S. in 2020.",
        'He said "this is the end."',
        "And it was not so!",
        "a small letter ends it?",
    ],
    "zh": ["人工智能会创造新的工作岗位。", "但是，工人需要培训！", "谁来付钱呢？", "他说：“我们付钱。”"],
    "ja": ["人工知能は新しい仕事を生み出します。", "しかし、訓練が必要です！", "誰が払うのか？"],
    "th": ["ปัญญาประดิษฐ์จะสร้างงานใหม่", "แต่คนงานต้องได้รับการฝึกอบรม", "ใครจะเป็นคนจ่าย"],
    "ar": ["سيخلق الذكاء الاصطناعي وظائف جديدة.", "لكن العمال يحتاجون إلى تدريب!", "من سيدفع؟"],
    "hi": ["कृत्रिम बुद्धिमत्ता नई नौकरियाँ बनाएगी।", "लेकिन श्रमिकों को प्रशिक्षण चाहिए!", "कौन भुगतान करेगा?"],
    "es": ["La IA creará empleos.", "Pero, ¿quién pagará?", "El Sr. Pérez dice que el Estado.", "¡Es falso!"],
    "de": ["Das ist z. B. falsch, d.h. nicht wahr.", "Am 3. Oktober 1990 kam sie.", "Prof. Müller sagt es auch."],
    "pl": ["To jest np. fałsz, tzn. nieprawda.", "Prof. Nowak mówi tak samo.", "Kto zapłaci?"],
    "tr": ["Yapay zekâ yeni işler yaratır.", "Ancak Dr. Yılmaz böyle demiyor.", "Kim ödeyecek?"],
    "vi": ["Trí tuệ nhân tạo tạo ra việc làm mới.", "Nhưng ai sẽ trả tiền?", "Nhà nước nên trả!"],
}
"""By language, sentences that a text made of them is to be split into."""

UNSPACED = ("zh", "ja")

LANGUAGES = pytest.mark.parametrize("language", SENTENCES)


def _join(language: str) -> str:
    return ("" if language in UNSPACED else " ").join(SENTENCES[language])


@LANGUAGES
def test_sentences_end_where_the_language_ends_them(language: str) -> None:
    """Marks of each script end a sentence; abbreviations, ordinals and numbers do not; quotes stay with theirs."""
    assert split_sentences(_join(language), language) == SENTENCES[language]


@pytest.mark.parametrize("language", ["zh", "ja", "ar", "hi", "th", "vi"])
def test_marks_of_a_script_need_no_language(language: str) -> None:
    """Where the language is not known, or is none that the library has, sentences are still found."""
    assert split_sentences(_join(language)) == SENTENCES[language]
    assert split_sentences(_join(language), "tlh-Latn") == SENTENCES[language]


def test_lines_and_mixed_scripts() -> None:
    """The end of a line ends a sentence, spaces are made one, and a text may change its script."""
    assert split_sentences("A line\n\n  Another   one.\r\nAI 会创造工作。But who pays? 政府应该付钱！😀") == [
        *("A line", "Another one.", "AI 会创造工作。", "But who pays?", "政府应该付钱！", "😀")
    ]


@pytest.mark.parametrize("text", ["", " \n\t\n", "\u200b"])
def test_nothing_has_no_words(text: str) -> None:
    """An empty text, blanks and a zero-width space have no word and do not end a sentence."""
    assert (count_words(text), split_words(text), ends_sentence(text)) == (0, [], False)


def test_a_clause_too_short_is_joined_to_the_next() -> None:
    """Thai spaces also stand inside a sentence: a clause of a word or two is no sentence."""
    assert split_sentences("ใช่ ปัญญาประดิษฐ์จะสร้างงานใหม่ ไม่", "th") == ["ใช่ ปัญญาประดิษฐ์จะสร้างงานใหม่", "ไม่"]
    assert count_words("ใช่ ปัญญาประดิษฐ์จะสร้างงานใหม่") >= MIN_CLAUSE_WORDS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't e-mail 3.5 people!", ["don't", "e", "mail", "3.5", "people"]),
        ("人工智能会创造工作", ["人工", "智能", "会", "创造", "工作"]),
        ("人工知能は新しい", ["人工", "知能", "は", "新しい"]),
        ("ควรยกเลิกโทษประหารชีวิต", ["ควร", "ยกเลิก", "โทษ", "ประหาร", "ชีวิต"]),
        ("नई नौकरियाँ बनाएगी।", ["नई", "नौकरियाँ", "बनाएगी"]),
        ("Straße, Ａ ﬁx, x\u00ady", ["strasse", "a", "fix", "xy"]),
        ("👩‍👩‍👧 😀 -- ...", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    """Words of scripts without spaces come from a dictionary; case, width and invisible characters do not count."""
    assert split_words(text) == words
    assert count_words(text) == len(words)


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        *(
            (text, True)
            for text in ("Yes.", "你好。", "“好。”", "नहीं।", "لماذا؟", "(See it.) ", "Well…", "Fine! 👍🏽", "ยกเลิก")
        ),
        *((text, False) for text in ("Yes", "他说：", "because,", "x. 5", "«no", "😀")),
    ],
)
def test_end_of_a_sentence(text: str, ended: bool) -> None:  # noqa: FBT001 - a column of the table
    """End marks of each script end it, also before quotes and emoji; a script without marks ends anywhere."""
    assert ends_sentence(text) is ended


@pytest.mark.parametrize(
    ("text", "characters", "short"),
    [
        ("All of it.", 10, "All of it."),
        ("One thing is so. Another is not so.", 20, "One thing is so."),
        ("One. Another thing is not so.", 20, "One. Another thing…"),
        ("Das gilt am 3. Oktober nicht mehr für alle Länder.", 15, "Das gilt am 3.…"),
        ("人工智能会创造新的工作岗位", 8, "人工智能会创造…"),
        ("ควรยกเลิกโทษประหารชีวิต", 12, "ควรยกเลิก…"),
        ("Internationalisierung", 6, "Inter…"),
        ("👩‍👩‍👧👩‍👩‍👧", 8, "👩‍👩‍👧…"),
        ("नौकरियाँ", 3, "नौ…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_shorten(text: str, characters: int, short: str) -> None:
    """A cut is at the end of a sentence if there is one in the second half, else of a word, else of a character."""
    assert shorten(text, characters, "de" if "Das" in text else "") == short
    assert len(short) <= characters


def test_half_a_surrogate_pair_is_text() -> None:
    """A character that no encoding has (JSON may hold one) is no reason to fail."""
    assert split_sentences("It was \ud83d here. And there.") == ["It was ? here.", "And there."]
    assert split_words("A \ud83d b") == ["a", "b"]


@pytest.mark.parametrize(
    "part", ["Dr. No said it. ", "你好。", "「。", "ควรยกเลิก โทษ ", '"a. ', "a", "😀", "\u0301", "\n"]
)
def test_time_grows_with_the_text(part: str) -> None:
    """100 KB of anything takes a second or two at most: nothing is quadratic."""
    text = (part * 100_000)[:100_000]
    start = process_time()
    split_sentences(text)
    split_words(text)
    shorten(text, 50_000)
    ends_sentence(text)
    assert process_time() - start < 5


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Both of them spoke. The main 3", "Both of them spoke."),
        (" Both spoke. ", "Both spoke."),
        ("No mark at all", "No mark at all"),
        ("双方都发言了。主要的", "双方都发言了。"),
        ("A. The rest of it is much longer than what stands before the mark", None),
    ],
)
def test_a_text_ends_with_a_sentence(said: str, kept: str | None) -> None:
    """A small model is cut at its limit; the half sentence goes, unless it would take most of the text with it."""
    assert drop_half_sentence(said) == (kept if kept is not None else said)
