"""What dialects raise for a server: above all its refusal, read whatever its form, with whether and how long to wait.

Internal to the adapters: `chat` decides with it, and callers get a ModelError.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from mesh.llm.http_errors import QUOTE_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping

    import httpx
    import httpx2

FAULT_BYTES = 65_536
"""Of the body of a refusal that are read."""

OPTIONAL: Mapping[str, str] = {
    "stream_options": r"stream_options|include_usage",
    "chat_template_kwargs": r"chat_template_kwargs|enable_thinking",
    "reasoning_effort": r"reasoning",
    "think": r"think",
    "seed": r"\bseed\b",
    "temperature": r"temperature",
    "max_tokens": r"max[ _-]?(?:imum )?(?:new[ _])?tokens|max_completion_tokens|token limit",
    "response_format": r"response_format|json_schema|\bschema|structured output|grammar|json mode",
    "format": r"\bformat\b|json_schema|\bschema|grammar",
    "max_completion_tokens": r"max[ _-]?(?:imum )?tokens|max_completion_tokens",
    "system": r"system (?:role|message|prompt)|roles? must alternate|role ['\"`]?system",
    "stream": r"\bstream",
}
"""What a server may refuse, and how its words name it; without a name they are left out in this order.

A refusal costs no tokens, so that finding out is free.
"""

FINAL = re.compile(
    r"context[ _](?:length|window|size)|too (?:large|long|many)|maximum context|exceed|content[ _](?:policy|filter)"
    r"|moderation|model[ _]not[ _]found|does not exist|api[ _]key|insufficient|billing|credit",
    re.IGNORECASE,
)
"""Refusals that no other form of the same request would be spared."""

NO_ROOM = re.compile(r"could not finish the message because max_tokens", re.IGNORECASE)
"""OpenAI's word for an answer that spent its bound on thoughts: it is paid."""

NO_BUDGET = re.compile(r"max\w*[ _]tokens.*(?:too large|exceed|at most)|context (?:length|window)", re.IGNORECASE)
"""Refusals that an answer of fewer tokens may be spared."""

_LOADING = re.compile(
    r"loading model|model is (?:still |currently )?(?:being )?load|warming up|currently loading", re.I
)
_TRANSIENT = re.compile(
    r"overload|rate.?limit|too many requests|capacity|temporar|try again|timed? ?out|unavailable|internal|busy", re.I
)
_SPENT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exhausted"})
_PROBED_STATUSES = frozenset({400, 415, 422, 501})
_WAITED_STATUSES = frozenset({429, 503, 529})
UNKNOWN_STATUS = 0


class LostConnectionError(Exception):
    """A server cannot be reached, or hung up. The message says what the HTTP client says."""


class UnreadableAnswerError(Exception):
    """What came as an answer is none of the API. The message says what is wrong with it."""


class ServerFaultError(Exception):
    """What a server answered instead of an answer."""

    def __init__(
        self, status: int, words: str, *, code: str = "", parameter: str = "", retry_seconds: float | None = None
    ) -> None:
        super().__init__(words)
        self.status = status
        """UNKNOWN_STATUS for an error without one inside a 200."""
        self.words = words
        """The server's own, one line."""
        self.code = code
        self.parameter = parameter
        self.retry_seconds = retry_seconds
        """After which the server wants to be asked again; None if it does not say."""

    @property
    def is_transient(self) -> bool:
        """Whether it may pass by itself; False for an allowance that is spent, which a server calls 429 too."""
        if self.code in _SPENT_CODES:
            return False
        if self.status == UNKNOWN_STATUS:
            return bool(_TRANSIENT.search(f"{self.code} {self.words}"))
        return self.status >= 500 or self.status in {408, 409, 425, 429}

    @property
    def is_to_be_waited_for(self) -> bool:
        """Whether the server is busy or loads: the same request is to be sent again, and that is no try."""
        if not self.is_transient:
            return False
        if self.status == UNKNOWN_STATUS:
            return True
        return self.status in _WAITED_STATUSES or (self.status >= 500 and bool(_LOADING.search(self.words)))

    def find_refused(self, sent: Collection[str]) -> str | None:
        """Returns what of the optional things that were sent it names as the reason."""
        if self.parameter in sent:
            return self.parameter
        if self.status not in _PROBED_STATUSES and not re.search(r"support|pars|unknown|unrecogni", self.words, re.I):
            return None
        if self.status == 429 or FINAL.search(f"{self.code} {self.words}"):
            return None
        words = f"{self.parameter} {self.words}"
        return next((name for name in OPTIONAL if name in sent and re.search(OPTIONAL[name], words, re.I)), None)

    @property
    def may_be_of_form(self) -> bool:
        """Whether another form of the same request, without optional things, may be taken."""
        return self.status in _PROBED_STATUSES and not FINAL.search(f"{self.code} {self.words}")


async def read_refusal(response: httpx.Response | httpx2.Response) -> ServerFaultError:
    """Returns the fault of a response that is no success and whose body is still to be read."""
    body = b""
    async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_bytes())) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > FAULT_BYTES:
                break
    text = body.decode("utf-8", errors="replace")
    if response.is_redirect:
        text = f"it redirects to {response.headers.get('location', '')}"
    return read_fault(response.status_code, text, response.headers)


def read_fault(status: int, body: str, headers: Mapping[str, str]) -> ServerFaultError:
    """Returns the fault of a response that is no success."""
    try:
        value = json.loads(body, strict=False)
    except ValueError:
        value = None
    fault = find_fault(value) if isinstance(value, dict) else None
    words = fault.words if fault else _one_line(re.sub(r"<[^>]*>", " ", body))
    return ServerFaultError(
        status,
        words,
        code=fault.code if fault else "",
        parameter=fault.parameter if fault else "",
        retry_seconds=_retry_seconds(headers),
    )


def find_fault(value: Mapping[str, Any]) -> ServerFaultError | None:
    """Returns the fault that an object of JSON is, also inside a 200; None if it is none."""
    error = value.get("error")
    if not error and (value.get("object") == "error" or value.get("type") == "error"):
        error = value
    if not error and not {"choices", "message", "usage", "response"} & value.keys():
        error = value.get("detail") or value.get("errors")
    if not error:
        return None
    if not isinstance(error, dict):
        return ServerFaultError(UNKNOWN_STATUS, _one_line(error if isinstance(error, str) else json.dumps(error)))
    code = error.get("code") or error.get("type") or error.get("status") or ""
    status = next(
        (
            int(number)
            for number in (error.get("code"), error.get("status"), error.get("status_code"), value.get("code"))
            if isinstance(number, int | str) and re.fullmatch(r"[45]\d\d", str(number))
        ),
        UNKNOWN_STATUS,
    )
    words = error.get("message") or error.get("detail") or error.get("error") or json.dumps(error)
    spent = {str(error.get("code")), str(error.get("type"))} & _SPENT_CODES
    return ServerFaultError(
        status,
        _one_line(words if isinstance(words, str) else json.dumps(words)),
        code=next(iter(spent), str(code)),
        parameter=str(error.get("param") or ""),
    )


def _one_line(words: str) -> str:
    return " ".join(words.split())[:QUOTE_CHARACTERS]


def _retry_seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After as seconds or a date (RFC 9110); OpenAI's header in milliseconds is the finer one."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        text = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
