"""What the adapters share: how a server's status becomes one of our errors."""

from __future__ import annotations

import os

from mesh.errors import ModelError, ModelRefusedError, ModelUnavailableError
from mesh.proxies import find_proxy, is_local

QUOTE_CHARACTERS = 200
"""Of a server's own words in our message."""


def status_error(name: str, status: int, words: str, *, may_pass: bool) -> ModelError:
    """Returns the error for a response that is no success. `may_pass`: whether trying again may help."""
    quote = " ".join(words.split())[: 2 * QUOTE_CHARACTERS]
    number = f" {status}" if status else " an error"
    if may_pass:
        return ModelUnavailableError(f"the server of {name} answered{number}: {quote}", model=name)
    number = f" with {status}" if status else ""
    return ModelRefusedError(f"the server of {name} refuses the request{number}: {quote}", model=name)


def unreachable(name: str, address: str, why: str = "") -> ModelUnavailableError:
    """Returns the error for a server that cannot be reached or hangs up."""
    reason = f" ({why})" if why else ""
    hint = "is it running?"
    if not is_local(address):
        hint = f"is it running, and is this the way there{_describe_proxy(address)} (HTTPS_PROXY, NO_PROXY)?"
    if "CERTIFICATE_VERIFY_FAILED" in why:
        hint = "set SSL_CERT_FILE to the certificates of those who signed its own"
    return ModelUnavailableError(f"the server of {name} at {address} cannot be reached{reason}; {hint}", model=name)


def _describe_proxy(address: str) -> str:
    try:
        proxy = find_proxy(address, os.environ)
    except ValueError:
        return ""
    return f", by the proxy {proxy.rpartition('://')[2].rpartition('@')[2]}" if proxy else ""


def too_slow(name: str, seconds: float, why: str = "") -> ModelUnavailableError:
    """Returns the error for an answer that did not come in time."""
    reason = f"; {why}" if why else ""
    return ModelUnavailableError(f"{name} did not answer within {seconds:g} s{reason}", model=name)


def unreadable(name: str, why: str) -> ModelRefusedError:
    """Returns the error for an answer that is not what the API promises."""
    return ModelRefusedError(f"the answer of {name} cannot be read: {why}", model=name)


def estimated_tokens(text: str) -> int:
    """Returns a guess of a text's tokens, for servers that do not count: four characters each, at least one."""
    return max(1, len(text) // 4)
