"""What an agent is writing for its floors right now, in this process's memory: never stored, never the record."""

from __future__ import annotations


class FloorDraft:
    """The text so far for one floor. Implements mesh.agent.ports.Draft."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = ""

    def show(self, text: str) -> None:
        """See mesh.agent.ports.Draft."""
        self.text = text
