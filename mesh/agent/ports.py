"""What an agent is made of, as protocols: what it says, its store, the record of the conversation, its turns' encoding.

`Speaker`, `TurnEncoder` and `ConversationRecord` are what a service hands in: the first is the agent's own, the others
connect it with those it talks with. `Store` is implemented by mesh.agent.store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.model import Floor, Memory, Note, RememberedTurn, Speech, Utterance
    from mesh.bus.message import Outgoing


class Notes(Protocol):
    """What the agent prepared for one conversation, such as its case: made once, stored, there for every later turn."""

    async def load(self, name: str) -> str | None:
        """Returns the note of that name, or None. Raises StoreUnavailableError."""
        ...

    async def save(self, name: str, text: str) -> str:
        """Stores a note and returns what is stored under that name: the first text that was saved wins.

        What the model calls since the last note have cost is stored with it: if the process dies before the turn is
        stored, the next one loads the note, and its turn has the same price. Raises StoreUnavailableError.
        """
        ...


class Draft(Protocol):
    """What is being written for one floor, for those who watch. It is not the record: the stored turn is."""

    def show(self, text: str, render: Callable[[str], str] | None = None) -> None:
        """Replaces what watchers see by the whole text so far; an empty text begins a new try.

        `render` makes of the text what is to be seen; it is called when somebody looks, and not for every piece.
        """
        ...


@dataclass(frozen=True, slots=True)
class FloorContext:
    """All that a speaker has for one floor."""

    floor: Floor
    turns: Sequence[RememberedTurn]
    """Those before the floor, by number; after an outage of the record some may be missing."""
    model: MeteredModel
    """Charges its calls to the turn."""
    notes: Notes
    draft: Draft


class Speaker(Protocol):
    """What the agent says. It may be cancelled at any await, and called again for the same floor after a crash."""

    async def speak(self, context: FloorContext) -> Speech:
        """Returns the agent's turn, which is stored and sent once; an empty text is a forfeit.

        Cancelled when the floor is revoked or its deadline passes: what it returns later counts for nothing. Raises
        ForfeitError if it has nothing to say; any other error has the floor taken again, a few times
        (mesh.bus.consumer).
        """
        ...

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        """Returns the answer to a question from outside of any conversation. Raises RostrumError, for the caller."""
        ...


class TurnEncoder(Protocol):
    """How a turn travels to the conversation: its topic, its key and its message."""

    def encode_turn(self, floor: Floor, utterance: Utterance, headers: Mapping[str, str]) -> Outgoing:
        """Returns the record that answers the floor, whatever attempt the utterance was made for.

        Its event id is the same each time for the same floor. Runs in the store's thread, within a transaction: quick,
        and without effects. Must not raise.
        """
        ...


class ConversationRecord(Protocol):
    """The record of a conversation, at whoever keeps it."""

    async def fetch_turns(
        self, conversation: str, after_number: int, timeout_seconds: float
    ) -> Sequence[RememberedTurn]:
        """Returns the turns above this number. Raises RostrumError."""
        ...


class Committed(Protocol):
    """A transaction that is stored."""

    @property
    def published(self) -> Awaitable[None]:
        """Resolves when the broker has what the transaction sent."""
        ...


class Store(Protocol):
    """The agent's own store. Methods raise StoreUnavailableError."""

    async def load_memory(self, conversation: str, turn_number: int) -> Memory:
        """Returns what is known of the conversation before this turn, and what was said at it."""
        ...

    async def remember_turns(self, conversation: str, turns: Sequence[RememberedTurn]) -> None:
        """Stores turns that were fetched; known ones stay as they are."""
        ...

    async def record_turn(self, floor: Floor, utterance: Utterance) -> Committed:
        """Stores the turn and sends it as the answer to the floor, in one transaction.

        If a turn is stored for this place already, that one is sent and nothing else changes.
        """
        ...

    async def find_turn(self, conversation: str, turn_number: int) -> Utterance | None:
        """Returns what was said at this turn, if anything is stored."""
        ...

    async def load_note(self, conversation: str, name: str) -> Note | None:
        """Returns the note of that name, or None."""
        ...

    async def record_note(self, conversation: str, name: str, note: Note) -> Note:
        """Stores a note; returns it, or the one that is stored under that name already."""
        ...

    async def find_answer(self, request_id: str, digest: str) -> Utterance | None:
        """Returns the answer stored for this request; RequestIdReusedError if it was another question."""
        ...

    async def record_answer(self, utterance: Utterance, request_id: str, digest: str) -> Utterance:
        """Stores an answer; returns it, or the one that another call stored meanwhile for this request."""
        ...

    async def count_utterances(self) -> int:
        """Returns the number of utterances."""
        ...

    async def list_utterances(
        self, limit: int, before: int | None, conversation: str
    ) -> Sequence[tuple[int, Utterance]]:
        """Returns utterances, newest first, with their place in the list: those before place `before`, if given.

        A `conversation` that is not empty limits them to that conversation.
        """
        ...
