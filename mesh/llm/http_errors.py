"""What the adapters share: how a server's status becomes one of our errors, and which URLs no proxy may get."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from mesh.errors import ModelError, ModelRefusedError, ModelUnavailableError

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
"""Below 500, what may pass by itself; 5xx always may."""

QUOTE_CHARACTERS = 200
"""Of a server's own words in our message."""


def status_error(name: str, status: int, words: str) -> ModelError:
    """Returns the error for a response that is no success."""
    quote = " ".join(words.split())[:QUOTE_CHARACTERS]
    if status >= 500 or status in TRANSIENT_STATUSES:
        return ModelUnavailableError(f"the server of {name} answered {status}: {quote}", model=name)
    return ModelRefusedError(f"the server of {name} refuses the request with {status}: {quote}", model=name)


def unreachable(name: str, address: str) -> ModelUnavailableError:
    """Returns the error for a server that cannot be reached or hangs up."""
    return ModelUnavailableError(f"the server of {name} at {address} cannot be reached; is it running?", model=name)


def too_slow(name: str, seconds: float) -> ModelUnavailableError:
    """Returns the error for an answer that did not come in time."""
    return ModelUnavailableError(f"{name} did not answer within {seconds:g} s", model=name)


def unreadable(name: str, why: str) -> ModelRefusedError:
    """Returns the error for an answer that is not what the API promises."""
    return ModelRefusedError(f"the answer of {name} cannot be read: {why}", model=name)


def is_local(url: str) -> bool:
    """Says whether a URL names this machine or a name of this cluster, so that HTTP_PROXY must not apply to it."""
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host


def estimated_tokens(text: str) -> int:
    """Returns a guess of a text's tokens, for servers that do not count: four characters each, at least one."""
    return max(1, len(text) // 4)
