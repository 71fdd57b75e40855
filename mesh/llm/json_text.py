"""JSON as models write it: in a fence, with words around it, with curly quotes for straight ones.

The adapters use it for answers that were asked to fit a schema.
"""

from __future__ import annotations

import json
import re
from typing import Any

_CURLY_KEY = re.compile(r"(?P<before>[{,]\s*)[“”„](?P<key>[^\"“”„{}]*)[“”„](?P<after>\s*:)")
_CURLY_AFTER = re.compile(r"(?P<before>[{\[,:]\s*)[“”„]")
_CURLY_BEFORE = re.compile(r"[“”„](?P<after>\s*[}\],:])")
_COMMA_AT_END = re.compile(r",(?P<after>\s*[}\]])")


def find_object(text: str) -> dict[str, Any] | None:
    """Returns the first JSON object in a text, whatever is around it; None if there is none."""
    for start in (brace.start() for brace in re.finditer(r"\{", text)):
        for candidate in _readings(text[start:]):
            try:
                value, _ = json.JSONDecoder(strict=False).raw_decode(candidate)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and value:
                return value
        if start > 2000:  # words before it are few; a long text full of braces is no JSON
            break
    return None


def json_text(text: str) -> str:
    """Returns the JSON object in a text as JSON; the text as it is if there is none, for the caller to judge."""
    try:
        json.loads(text)
    except RecursionError:
        return text
    except ValueError:
        found = find_object(text)
        return text if found is None else json.dumps(found, ensure_ascii=False)
    return text


def _readings(text: str) -> tuple[str, ...]:
    """The text as it is, then with ever more of the quotes and commas that JSON wants where a model meant them."""
    keys = _COMMA_AT_END.sub(r"\g<after>", _CURLY_KEY.sub(r'\g<before>"\g<key>"\g<after>', text))
    return text, keys, _CURLY_BEFORE.sub(r'"\g<after>', _CURLY_AFTER.sub(r'\g<before>"', keys))
