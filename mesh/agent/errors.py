"""What an agent's service raises towards the runtime; no caller of a service meets it, so it is no RostrumError."""

from __future__ import annotations


class ForfeitError(Exception):
    """The agent cannot say anything at this floor: the turn is stored and sent as forfeited, for the reason given."""

    def __init__(self, reason: str) -> None:
        """`reason`: one clause for people."""
        super().__init__(reason)
        self.reason = reason
