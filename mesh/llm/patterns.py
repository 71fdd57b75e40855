"""Patterns in the JSON schemas of answers, in the part of regular expressions that llama.cpp turns into a grammar."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[\\.?*+(){}\[\]|^$/]")


def literal(text: str) -> str:
    """Returns the pattern of exactly this text. `re.escape` also escapes what llama.cpp takes only as it is."""
    return _SPECIAL.sub(r"\\\g<0>", text)
