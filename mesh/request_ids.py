"""The request_id by which a caller makes a call idempotent (AIP-155): what one is made of, for every service."""

from __future__ import annotations

from mesh.errors import InvalidRequestIdError

MAX_REQUEST_ID_CHARACTERS = 128
"""The stores' columns for it have this length."""


def check_request_id(request_id: str) -> None:
    """Raises InvalidRequestIdError unless it is empty or 1 to 128 printable ASCII characters."""
    if len(request_id) > MAX_REQUEST_ID_CHARACTERS or not all(" " <= character <= "~" for character in request_id):
        message = f"request_id must be at most {MAX_REQUEST_ID_CHARACTERS} printable ASCII characters"
        raise InvalidRequestIdError(message, field="request_id", limit=str(MAX_REQUEST_ID_CHARACTERS))
