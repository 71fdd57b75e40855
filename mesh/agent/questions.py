"""How an agent answers a question when asked: once for each request id, and stored like all that it says."""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
import uuid
from typing import TYPE_CHECKING

from mesh.agent.metered_model import MeteredModel, question_place
from mesh.agent.model import Kind, Utterance
from mesh.errors import InvalidQuestionError, ModelRefusedError
from mesh.language.text import clean_text
from mesh.request_ids import check_request_id

if TYPE_CHECKING:
    from mesh.agent.model import Counters
    from mesh.agent.ports import Speaker, Store
    from mesh.clock import Clock
    from mesh.llm.port import Model

MAX_QUESTION_CHARACTERS = 2_000


class Questions:
    """The questions put to one agent. Used on one event loop."""

    def __init__(self, *, speaker: Speaker, model: Model, store: Store, clock: Clock, counters: Counters) -> None:
        self._speaker = speaker
        self._model = model
        self._store = store
        self._clock = clock
        self._counters = counters
        self._locks: dict[str, asyncio.Lock] = {}
        """By request id, of questions that are being answered."""

    async def ask(self, question: str, request_id: str) -> Utterance:
        """Answers a question and stores the answer; the same request_id returns the stored one.

        Raises InvalidQuestionError, InvalidRequestIdError, RequestIdReusedError, StoreUnavailableError, and what the
        speaker raises, such as ModelUnavailableError and ModelRefusedError.
        """
        question = question.strip()
        check_question(question)
        check_request_id(request_id)
        if not request_id:
            return await self._answer(question, "", "")
        digest = hashlib.sha256(question.encode()).hexdigest()
        lock = self._locks.setdefault(request_id, asyncio.Lock())
        try:
            async with lock:
                stored = await self._store.find_answer(request_id, digest)
                return stored or await self._answer(question, request_id, digest)
        finally:
            if not lock.locked():
                self._locks.pop(request_id, None)

    async def _answer(self, question: str, request_id: str, digest: str) -> Utterance:
        identity = uuid.uuid4().hex
        model = MeteredModel(self._model, self._counters, question_place(request_id or identity))
        speech = await self._speaker.answer(question, model)
        text = clean_text(speech.text)
        if not text:
            message = f"the agent had no answer from the model {model.name}; ask again or use another model"
            raise ModelRefusedError(message, model=model.name)
        utterance = Utterance(
            id=identity,
            kind=Kind.ANSWER,
            conversation="",
            turn_number=0,
            round=0,
            question=question,
            text=text,
            model=speech.model,
            prompt_tokens=model.prompt_tokens,
            completion_tokens=model.completion_tokens,
            create_time_us=self._clock.now_us(),
        )
        return await self._store.record_answer(utterance, request_id, digest)


def check_question(question: str) -> None:
    """Raises InvalidQuestionError for an empty or over-long question, or one with control characters."""
    if not question or len(question) > MAX_QUESTION_CHARACTERS:
        message = f"the question must have 1 to {MAX_QUESTION_CHARACTERS} characters, not {len(question)}"
        raise InvalidQuestionError(message, field="question", limit=str(MAX_QUESTION_CHARACTERS))
    if any(unicodedata.category(character) == "Cc" and character not in "\n\r\t" for character in question):
        message = "the question has control characters; take them out"
        raise InvalidQuestionError(message, field="question")
