"""Whether an answer is a model's refusal to debate at all, in the languages in which models refuse.

Not a look at arguments: "I cannot accept that cities ..." is one. A refusal is short, begins as such, and speaks of the
model itself or of the request. What this misses is said aloud; what it hits wrongly costs one more try.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 400
"""A longer answer argues, however it begins."""

_OPENINGS = (
    # English
    r"(?:(?:(?:i'm|i am|i’m) (?:very |so )?sorry|sorry|i apologi[sz]e|unfortunately)\b.{0,40}\b)?i(?: am|'m|’m)? "
    r"(?:can't|can’t|cannot|won't|won’t|not able to|unable to) "
    r"(?:(?:help|assist|comply|engage|participate|continue)(?: you)?(?: with| in)? (?:this|that|you|your)\b|"
    r"(?:help|assist|comply|participate|do that)\W*$|(?:fulfil|take sides|provide|generate|create|produce)\b|"
    r"(?:argue|write|debate|discuss) (?:for|on|about|this|that|either)\b)",
    r"as an? (?:ai|artificial intelligence|(?:large )?language model)\b[\w ]{0,30}, (?:i|my)\b",
    # Spanish, Portuguese, French, Italian
    r"(?:lo siento|perdón|disculp[ae])\b.{0,30}\bno puedo\b",
    r"como (?:una? )?(?:ia|inteligencia artificial|modelo de (?:lenguaje|linguagem))\b.{0,40}\bn(?:o|ão)\b",
    r"(?:desculpe|sinto muito|lamento)\b.{0,30}\bnão posso\b",
    r"(?:je suis désolée?|désolée?)\b.{0,30}\bje ne (?:peux|suis)\b",
    r"en tant qu(?:e |['’])(?:une? )?(?:ia|intelligence artificielle|modèle de langage)\b.{0,20}\bje\b",
    r"(?:mi dispiace|spiacente)\b.{0,30}\bnon posso\b",
    # German, Dutch, Polish, Russian, Turkish, Vietnamese
    r"(?:es tut mir leid|tut mir leid|entschuldigung)\b.{0,30}\b(?:ich kann|kann ich)\b",
    r"als (?:ki|künstliche intelligenz|sprachmodell)\b.{0,20}\bich\b",
    r"(?:het spijt me|sorry)\b.{0,30}\bik kan\b",
    r"(?:przykro mi|przepraszam)\b.{0,30}\bnie mogę\b",
    r"(?:извините|простите|к сожалению)\b.{0,30}\bя не могу\b",
    r"как (?:ии|языковая модель|искусственный интеллект)\b.{0,30}\bя\b",
    r"(?:üzgünüm|özür dilerim)\b.{0,60}\b(?:edemem|yapamam|olamam|veremem)\b",
    r"(?:xin lỗi|rất tiếc)\b.{0,30}\b(?:tôi|mình) không thể\b",
    # Chinese, Japanese, Korean, Thai, Arabic, Hindi
    r"(?:很?抱歉|对不起|對不起).{0,10}我?(?:不能|无法|無法|不会)",
    r"作为(?:一个|一款)?(?:ai|人工智能|语言模型|大?型?语言模型).{0,15}我",
    r"(?:申し訳|すみません|ごめんなさい).{0,40}(?:できません|できかねます|お答え)",
    r"죄송.{0,40}(?:없습니다|않습니다)",
    r"ขอโทษ.{0,40}ไม่สามารถ",
    r"(?:عذر[اًا]+|آسف|أعتذر|للأسف).{0,30}(?:لا أستطيع|لا يمكنني)",
    r"(?:क्षमा|माफ़|माफ).{0,40}नहीं",
)
_REFUSAL = re.compile(r"\W*(?:" + "|".join(_OPENINGS) + ")", re.IGNORECASE | re.DOTALL)


def is_refusal(text: str) -> bool:
    """Says whether the answer refuses to take part."""
    return len(text) <= MAX_CHARACTERS and _REFUSAL.match(text) is not None
