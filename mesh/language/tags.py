"""Languages by their tags (BCP 47): which one a text is in, whether a tag is one, what it is called in English.

`detect_language` loads a model of 75 MB by its first call (a second): call it off the loop, and only where no tag is
given. It is made for texts as short as one line of three words.
"""

from __future__ import annotations

from functools import cache
from typing import Any

MIN_CONFIDENCE = 0.3
"""Share of belief below which a language is not named. Emoji, numbers and one name have 0.1 at most."""

POPULATION_EXPONENT = 0.5
"""How much more a language is expected that more people write: by the root of their number. A line in Hindi is nearly
one in Marathi by its letters, one in Portuguese nearly Galician; without this, rare languages win short lines."""

MAX_SAMPLE_CHARACTERS = 2_000
"""More of a text says nothing more about its language."""

MAX_TAG_CHARACTERS = 35
"""What RFC 5646 asks every program to take; longer tags name nothing that is used here."""


def detect_language(text: str) -> str:
    """Returns the language that a text is in, as a primary subtag ("pt"); empty if that is not sure."""
    sample = text[:MAX_SAMPLE_CHARACTERS].encode(errors="ignore").decode()
    if not any(map(str.isalpha, sample)):
        return ""
    priors = _count_writers()
    beliefs = {tag: share * priors[tag] for tag, share in _load_identifier().rank(sample)}
    best = max(beliefs, key=lambda tag: beliefs[tag])
    return best if beliefs[best] >= MIN_CONFIDENCE * sum(beliefs.values()) else ""


def language_name(tag: str) -> str:
    """Returns the English name of a language, such as "German"; empty for an empty tag. Raises ValueError."""
    if not tag:
        return ""
    from langcodes import Language  # noqa: PLC0415 - see the package

    return Language.get(parse_language(tag)).display_name()


def parse_language(tag: str) -> str:
    """Returns a tag in its standard form ("pt_br" is "pt-BR", "deu" is "de"). Raises ValueError if it names none."""
    from langcodes import Language, standardize_tag  # noqa: PLC0415 - see the package

    message = f"{tag[:MAX_TAG_CHARACTERS]!r} is no language: write a BCP 47 tag, such as de, pt-BR or zh"
    if len(tag) > MAX_TAG_CHARACTERS:
        raise ValueError(message)
    try:
        standard = standardize_tag(tag, macro=True)
        language = Language.get(standard)
    except ValueError:
        raise ValueError(message) from None
    if not (language.language or "").isalpha() or not language.is_valid():
        raise ValueError(message)
    return standard


@cache
def _load_identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - see the package

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _count_writers() -> dict[str, float]:
    """Returns the weight of each language that can be detected; of one that nobody writes today it is nought."""
    from langcodes import Language  # noqa: PLC0415 - see the package

    return {tag: Language.get(tag).writing_population() ** POPULATION_EXPONENT for tag in _load_identifier().labels}
