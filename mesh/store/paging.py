"""Page sizes and page tokens of list methods (AIP-158).

A token holds where the next page starts and a digest of the arguments it was made for; a token of other arguments, or
of no method of ours, is InvalidPageTokenError. It is opaque to callers, not secret: it grants nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from mesh.errors import InvalidPageSizeError, InvalidPageTokenError

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_DIGEST_BYTES = 9
_MAX_TOKEN_CHARACTERS = 1024


def checked_page_size(requested: int) -> int:
    """Returns the items on a page: 50 for 0, at most 1,000. Raises InvalidPageSizeError if negative."""
    if requested < 0:
        message = f"page_size must not be negative, and is {requested}"
        raise InvalidPageSizeError(message, field="page_size", value=str(requested))
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def page_token(position: str, *arguments: str) -> str:
    """Returns the token of the page that starts after `position`; `arguments`: the method and what it was asked."""
    digest = _digest(position, arguments)
    return base64.urlsafe_b64encode(digest + position.encode()).decode().rstrip("=")


def page_position(token: str, *arguments: str) -> str | None:
    """Returns what `page_token` was given; None for the empty token. Raises InvalidPageTokenError."""
    if not token:
        return None
    if len(token) <= _MAX_TOKEN_CHARACTERS:
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            position = raw[_DIGEST_BYTES:].decode()
        except (binascii.Error, UnicodeError, ValueError):
            pass
        else:
            if raw[:_DIGEST_BYTES] == _digest(position, arguments):
                return position
    message = "page_token is not one that this method returned for these arguments; leave it empty for the first page"
    raise InvalidPageTokenError(message, field="page_token")


def _digest(position: str, arguments: tuple[str, ...]) -> bytes:
    return hashlib.sha256(json.dumps([position, *arguments]).encode()).digest()[:_DIGEST_BYTES]
