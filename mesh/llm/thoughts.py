"""What of a model's output is meant to be read: its text without thoughts in tags and without a fence around it.

Thinking models mark their thoughts in many ways, and forget to. Pure functions over all of an answer so far, which the
adapters call while it is written and once at its end; what is left is never a thought.
"""

from __future__ import annotations

import re

_NAMES = r"(?:seed:|antml:)?(?:think|thinking|thought|thoughts|reasoning|scratchpad)"
_TAG = re.compile(
    rf"(?P<open><{_NAMES}(?:\s[^<>]*)?>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>\s*(?:analysis|commentary))"
    rf"|(?P<close></\s*{_NAMES}\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>\s*final(?:<\|message\|>)?)",
    re.IGNORECASE,
)
_LEFTOVER = re.compile(r"<\|(?:start|end|return|message|channel|im_start|im_end|eot_id|endoftext)\|>(?:assistant)?")
"""Control tokens of chat templates that a server let through."""
_BEGUN_TAG = re.compile(r"(?:</?[a-z:|_/]{0,16}|\[/?T?H?I?N?K?|◁/?[a-z]{0,5})$", re.IGNORECASE)
"""The end of a piece that may become a tag with the next one."""
_OPEN_FENCE = re.compile(r"\A\s*(?P<fence>```|~~~)(?P<language>[\w+-]*)[ \t]*(?:\n|\Z)")


def visible_text(written: str, *, ended: bool) -> str:
    """Returns the text of what was `written` so far. While it has not `ended`, what may become a tag is held back."""
    if not ended:
        written = written[: begun.start()] if (begun := _BEGUN_TAG.search(written)) else written
    text = _LEFTOVER.sub("", _without_thoughts(written))
    return _without_fence(text, ended=ended).strip() if ended else _without_fence(text, ended=ended).lstrip()


def has_thoughts(written: str) -> bool:
    """Says whether there are thoughts in tags, or was one tag of them."""
    return _TAG.search(written) is not None


def _without_thoughts(written: str) -> str:
    """A closing tag that was never opened ends thoughts from the start; an opening one that is not closed, to the end.

    Templates open the first thought in the prompt, so that an answer begins within it.
    """
    kept = ""
    start = depth = 0
    for tag in _TAG.finditer(written):
        if tag["open"]:
            if depth == 0:
                kept += written[start : tag.start()]
            depth += 1
        else:
            kept = kept if depth else ""
            depth = max(0, depth - 1)
        start = tag.end()
    return kept if depth else kept + written[start:]


def _without_fence(text: str, *, ended: bool) -> str:
    """The inside of a fence that is around all of the text; any other text as it is."""
    opening = _OPEN_FENCE.match(text)
    if opening is None:
        return "" if not ended and text.strip() in {"`", "``", "~", "~~"} else text
    inside = text[opening.end() :]
    body = inside.rstrip()
    if body.endswith(opening["fence"]):
        body = body.removesuffix(opening["fence"])
        return text if opening["fence"] in body else body
    return inside if opening["fence"] not in inside or not ended else text
