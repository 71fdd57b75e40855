"""The notes of an agent on one conversation, as a speaker has them while it works on a floor.

Each is paid for once. Its cost is stored with it and is part of the turn that it was made for: a process that takes
that turn again after a crash is charged for the note when it loads it, and does not make it a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.agent.model import Cost, Note
from mesh.language.text import clean_text

if TYPE_CHECKING:
    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.model import Floor
    from mesh.agent.ports import Store
    from mesh.clock import Clock


class StoredNotes:
    """Implements mesh.agent.ports.Notes."""

    def __init__(self, store: Store, floor: Floor, model: MeteredModel, clock: Clock) -> None:
        self._store = store
        self._floor = floor
        self._model = model
        self._clock = clock
        self._loaded: dict[str, str] = {}
        """Text by name, of notes whose cost the model has."""
        self._noted = model.cost
        """Part of the model's cost that belongs to notes."""

    @property
    def rest(self) -> Cost:
        """What the model has cost since these notes were opened, without what belongs to a note."""
        return self._model.cost - self._noted

    async def load(self, name: str) -> str | None:
        """See mesh.agent.ports.Notes."""
        if name not in self._loaded:
            note = await self._store.load_note(self._floor.conversation, name)
            if note is None:
                return None
            self._loaded[name] = note.text
            if note.turn_number == self._floor.turn_number:
                self._model.charge(note.cost)
                self._noted = self._noted + note.cost
        return self._loaded[name]

    async def save(self, name: str, text: str) -> str:
        """See mesh.agent.ports.Notes."""
        cost = self._model.cost
        note = Note(clean_text(text), self._floor.turn_number, cost - self._noted, self._clock.now_us())
        stored = await self._store.record_note(self._floor.conversation, name, note)
        self._loaded[name] = stored.text
        self._noted = cost
        return stored.text
