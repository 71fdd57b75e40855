"""Its errors."""

from __future__ import annotations

from mesh.errors import Code, RostrumError


class NameTakenError(RostrumError):
    """The guest signed before. Metadata: guest."""

    code = Code.ALREADY_EXISTS
    reason = "NAME_TAKEN"
    advice = "sign under another name"


class GuestNotFoundError(RostrumError):
    """No such guest. Metadata: guest."""

    code = Code.NOT_FOUND
    reason = "GUEST_NOT_FOUND"
