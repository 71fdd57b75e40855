"""What an agent is made of, as protocols: what it says, its store, the record of the conversation, its turns' encoding.

`Speaker`, `TurnEncoder` and `ConversationRecord` are what a service hands in: the first is the agent's own, the others
connect it with those it talks with. `Store` is implemented by mesh.agent.store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.model import Floor, Memory, RememberedTurn, Speech, Utterance
    from mesh.bus.message import Outgoing


class Speaker(Protocol):
    """What the agent says. It may be cancelled at any await, and called again for the same floor after a crash."""

    async def speak(self, floor: Floor, turns: Sequence[RememberedTurn], model: MeteredModel) -> Speech:
        """Returns the agent's turn, which is stored and sent once; an empty text is a forfeit.

        `turns`: those before the floor, by number; after an outage of the record some may be missing. `model`: charges
        its calls to the turn. Cancelled when the floor is revoked or its deadline passes: what it returns later counts
        for nothing. Raises ForfeitError if it has nothing to say; any other error has the floor taken again, a few
        times (mesh.bus.consumer).
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
