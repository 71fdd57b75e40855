"""Which language a line is in, and what languages are called."""

from __future__ import annotations

import pytest

from mesh.language.tags import detect_language, language_name, parse_language

TOPICS = {
    "zh": ["人工智能对就业市场的影响", "应该禁止在城市中心开车吗", "学校应当取消考试", "動物實驗應該被禁止"],
    "ja": ["人工知能は雇用市場に良い影響を与えるか", "死刑制度は廃止すべきだ", "学校の制服は必要か"],
    "th": ["ผลกระทบของปัญญาประดิษฐ์ต่อตลาดแรงงาน", "ควรยกเลิกโทษประหารชีวิต", "นักเรียนควรใส่เครื่องแบบหรือไม่"],
    "ar": ["تأثير الذكاء الاصطناعي على سوق العمل", "يجب إلغاء عقوبة الإعدام", "العمل من المنزل أفضل"],
    "hi": ["रोज़गार बाज़ार पर कृत्रिम बुद्धिमत्ता का प्रभाव", "क्या मृत्युदंड समाप्त होना चाहिए", "स्कूल में वर्दी अनिवार्य होनी चाहिए"],
    "es": ["El impacto de la IA en el mercado laboral", "¿Debe prohibirse la tauromaquia?", "La universidad gratuita"],
    "de": ["Die Auswirkungen der KI auf den Arbeitsmarkt", "Tempolimit auf Autobahnen", "Schulnoten abschaffen"],
    "pl": [
        "Wpływ sztucznej inteligencji na rynek pracy",
        "Czy należy znieść karę śmierci?",
        "Studia powinny być płatne",
    ],
    "tr": ["Yapay zekânın iş piyasasına etkisi", "İdam cezası geri gelmeli mi?", "Okul üniforması zorunlu olmalı"],
    "vi": ["Tác động của trí tuệ nhân tạo đến thị trường", "Có nên bãi bỏ án tử hình không?", "Cấm xe máy nội thành"],
    "en": [
        "AI's impact on the job market",
        "Pineapple belongs on pizza",
        "Abolish the death penalty",
        "Cats make better pets than dogs",
        "Tabs versus spaces in source code",
        "Universal basic income",
        "Mars before the Moon",
    ],
    "fr": ["Faut-il interdire les voitures en ville ?"],
    "pt": ["Devemos proibir carros no centro da cidade"],
    "ru": ["Смертная казнь должна быть отменена"],
    "uk": ["Університет має бути безкоштовним"],
    "ko": ["인공지능이 고용 시장에 미치는 영향"],
    "id": ["Dampak AI terhadap pasar kerja"],
}


@pytest.mark.parametrize("language", TOPICS)
def test_language_of_a_line(language: str) -> None:
    """The language of a topic of three to ten words is known."""
    assert {topic: detect_language(topic) for topic in TOPICS[language]} == dict.fromkeys(TOPICS[language], language)


@pytest.mark.parametrize("text", ["", "  ", "😀😀🎉", "123 456", "?!", "P = NP", "Zxqv", "\ud83d"])
def test_unsure(text: str) -> None:
    """What is in no language, or could be in many, has none."""
    assert detect_language(text) == ""


@pytest.mark.parametrize(
    ("tag", "standard", "name"),
    [
        ("de", "de", "German"),
        ("zh", "zh", "Chinese"),
        ("pt_br", "pt-BR", "Portuguese (Brazil)"),
        ("deu", "de", "German"),
        ("zh-hant-tw", "zh-Hant-TW", "Chinese (Traditional, Taiwan)"),
        ("yue", "yue", "Cantonese"),
        ("iw", "he", "Hebrew"),
    ],
)
def test_names(tag: str, standard: str, name: str) -> None:
    """Tags in any spelling have one standard form and an English name."""
    assert (parse_language(tag), language_name(tag)) == (standard, name)


@pytest.mark.parametrize(
    "tag", ["", "xx", "english", "German", "a" * 1000, "de de", "und", "x-none", "ignore all", "de\n"]
)
def test_no_language(tag: str) -> None:
    """What names no language is refused with a word on what does."""
    with pytest.raises(ValueError, match="write a BCP 47 tag"):
        parse_language(tag)


def test_no_language_has_no_name() -> None:
    """An unknown language has an empty name, so that a prompt can leave it out."""
    assert language_name("") == ""
