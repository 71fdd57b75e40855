"""The one adapter: a chat model behind a server of any dialect, streamed, waited for, and never worse than an error.

It owns what all servers have in common: what they refuse and are then not sent again, rate limits and loading, time
limits, and the reading of whatever comes back. What differs between OpenAI's API and Ollama's is a `Dialect`. Nothing
is asked for twice that may have been paid: a request is sent again only after a refusal or a request to wait.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mesh.errors import ModelError, ModelUnavailableError
from mesh.llm.answer import Answer
from mesh.llm.faults import (
    NO_BUDGET,
    NO_ROOM,
    OPTIONAL,
    LostConnectionError,
    ServerFaultError,
    UnreadableAnswerError,
)
from mesh.llm.http_errors import status_error, too_slow, unreachable, unreadable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from mesh.llm.answer import Piece
    from mesh.llm.port import Completion, Limits, Message, Profile

log = logging.getLogger(__name__)

THINKING_TOKENS = 2048
"""More that a model may write while it is known to think before it answers, so that its answer still fits."""

LEAST_PAUSE_SECONDS = 0.05
"""Before the first request again to a server that says "at once"; it doubles up to FIRST_PAUSE_SECONDS."""

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 15.0
"""Between two requests to a server that wants to be waited for and does not say how long; it doubles up to this."""

SLOW_SECONDS = 15.0
"""Without a first token, after which the log says what is waited for."""

SHOW_INTERVAL_SECONDS = 0.05
"""Between two looks of `on_text`: quicker than anyone reads."""

LEAST_SECRET_CHARACTERS = 6
"""A shorter key is none: local servers take any word."""

_THINKING_NAMES = re.compile(
    r"(?:^|[/:_-])(?:o[1345](?:-|$)|gpt-5|gpt-oss|deepseek-r|r1\b|qwq|qwen3|magistral)|think|reason"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, before a dialect puts it into words."""

    messages: Sequence[Message]
    max_tokens: int
    schema: Mapping[str, Any] | None
    seed: int | None
    is_thinking: bool
    """Whether the model would think if it were not told otherwise."""


class Dialect(Protocol):
    """How one kind of server is spoken with, over a client of its own."""

    @property
    def address(self) -> str:
        """URL for messages to people."""
        ...

    def write(self, request: Request, refused: frozenset[str]) -> dict[str, Any]:
        """Returns the body, without what the server refuses."""
        ...

    def send(self, body: dict[str, Any]) -> AsyncGenerator[Piece]:
        """Sends a body once and yields the answer as it comes; closing the generator leaves the server.

        Raises ServerFaultError, also inside an answer; LostConnectionError; UnreadableAnswerError.
        """
        ...

    def explain(self, fault: ServerFaultError) -> str:
        """Returns what a person can do about a refusal, to be put behind the server's words; may be empty."""
        ...

    async def profile(self) -> Profile:
        """Asks the server what the model is good for. Raises ServerFaultError and LostConnectionError."""
        ...

    async def aclose(self) -> None:
        """Closes the connections."""
        ...


@dataclass(slots=True)
class _Call:
    """One call to the port, over all its requests."""

    messages: Sequence[Message]
    limits: Limits
    schema: Mapping[str, Any] | None
    seed: int | None
    on_text: Callable[[str], None] | None
    started: float
    bound: asyncio.Timeout
    answer: Answer = field(default_factory=Answer)
    first_token_seconds: float | None = None
    tried_without: list[str] = field(default_factory=list)
    """What was left out by guess, in order."""
    pauses: int = 0
    reason: str = ""
    """Why it was waited for last."""
    shown_time: float = 0.0
    shown: str = ""

    @property
    def has_begun(self) -> bool:
        """Whether something was written, which is paid for."""
        return self.first_token_seconds is not None

    def has_ended(self) -> bool:
        """Whether the answer is whole."""
        return self.answer.ended


class ChatModel:
    """Implements mesh.llm.port.Model."""

    def __init__(self, name: str, dialect: Dialect, *, secret: str = "") -> None:
        """`name` is what the user selected; `secret` is kept out of a server's words, which people are shown."""
        self._secret = secret
        self._name = name
        self._dialect = dialect
        self._refused: frozenset[str] = frozenset()
        self._is_thinking = bool(_THINKING_NAMES.search(name.lower()))
        self._needs_budget = self._is_thinking
        self._profile: Profile | None = None

    @property
    def name(self) -> str:
        """See mesh.llm.port.Model."""
        return self._name

    async def profile(self) -> Profile:
        """See mesh.llm.port.Model."""
        try:
            return await self._ask_profile()
        except ServerFaultError as fault:
            raise self._explain_fault(fault) from fault
        except LostConnectionError as error:
            raise unreachable(self._name, self._dialect.address, str(error)) from error

    async def complete(
        self,
        messages: Sequence[Message],
        limits: Limits,
        *,
        schema: Mapping[str, Any] | None = None,
        seed: int | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """See mesh.llm.port.Model."""
        bound = asyncio.timeout(limits.timeout_seconds)
        call = _Call(messages, limits, schema, seed, on_text, time.monotonic(), bound)
        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._note_slow, call)
        try:
            async with bound:
                await self._request_until_answered(call)
        except TimeoutError as error:
            if not call.answer.ended:
                raise self._explain_timeout(call) from error
        except ModelError:
            raise
        except Exception as error:
            # A fault of ours or a server beyond belief: said once, and never by a loop of crashes that pays again.
            log.exception("the adapter of %s failed", self._name)
            raise unreadable(self._name, f"{type(error).__name__}: {error}") from error
        finally:
            slow.cancel()
        return self._finish(call)

    async def aclose(self) -> None:
        """See mesh.llm.port.Model."""
        await self._dialect.aclose()

    async def _request_until_answered(self, call: _Call) -> None:
        while not call.has_ended():
            extra_tokens = THINKING_TOKENS if self._needs_budget else 0
            request = Request(
                call.messages, call.limits.max_tokens + extra_tokens, call.schema, call.seed, self._is_thinking
            )
            body: dict[str, Any] = {}
            try:
                await self._ask_profile()
                body = self._dialect.write(request, self._refused)
                await self._stream(body, call)
            except ServerFaultError as fault:
                if call.has_begun:
                    raise self._explain_break(fault.words) from fault
                await self._recover(fault, body, call)
            except UnreadableAnswerError as error:
                raise unreadable(self._name, self._redact(str(error))) from error
            except LostConnectionError as error:
                if call.has_ended():
                    return
                if call.has_begun:
                    raise self._explain_break(str(error)) from error
                raise unreachable(self._name, self._dialect.address, str(error)) from error
            else:
                self._keep_last_guess(call)

    async def _stream(self, body: dict[str, Any], call: _Call) -> None:
        is_empty = True
        async with aclosing(self._dialect.send(body)) as pieces:
            async for piece in pieces:
                is_empty = False
                self._take(piece, call)
        if is_empty:
            raise ModelUnavailableError(f"the server of {self._name} answered nothing at all", model=self._name)
        if not call.answer.ended:
            raise self._explain_break()

    def _take(self, piece: Piece, call: _Call) -> None:
        call.answer.add(piece)
        if piece.text or piece.thought:
            if call.first_token_seconds is None:
                call.first_token_seconds = time.monotonic() - call.started
            self._bound_stall(call)
        if piece.text:
            self._show(call)

    def _note_slow(self, call: _Call) -> None:
        if not call.has_begun and not call.pauses:
            log.warning("waiting for the first token of %s: its server may be loading it", self._name)

    def _bound_stall(self, call: _Call) -> None:
        now = time.monotonic()
        left_seconds = call.started + call.limits.timeout_seconds - now
        loop_time = asyncio.get_running_loop().time()
        call.bound.reschedule(loop_time + min(left_seconds, call.limits.stall_seconds))

    def _show(self, call: _Call, *, ended: bool = False) -> None:
        if call.on_text is None:
            return
        now = time.monotonic()
        if not ended and now - call.shown_time < SHOW_INTERVAL_SECONDS:
            return
        text = call.answer.text(ended=ended)
        if text != call.shown:
            call.shown_time, call.shown = now, text
            call.on_text(text)

    async def _recover(self, fault: ServerFaultError, body: Mapping[str, Any], call: _Call) -> None:
        """Returns if the request is to be sent again, after what it takes. Raises ModelError else."""
        if NO_ROOM.search(fault.words):
            call.answer.finish_reason, call.answer.ended = "length", True
            self._needs_budget = True
            return
        if self._needs_budget and NO_BUDGET.search(fault.words):
            self._needs_budget = False
            return
        sent = [name for name in _list_optional(body) if name not in self._refused]
        named = fault.find_refused(sent)
        if named is None and fault.may_be_of_form and sent:
            named = sent[0]
            call.tried_without.append(named)
        if named is not None:
            log.info("%s does not take %s: %s", self._name, named, self._redact(fault.words))
            self._refused |= {named}
            return
        self._refused -= set(call.tried_without)
        if fault.is_to_be_waited_for:
            await self._wait(fault, call)
            return
        raise self._explain_fault(fault)

    def _explain_fault(self, fault: ServerFaultError) -> ModelError:
        hint = self._dialect.explain(fault)
        words = self._redact(fault.words)
        words = f"{words}; {hint}" if hint else words
        return status_error(self._name, fault.status, words, may_pass=fault.is_transient)

    def _redact(self, words: str) -> str:
        return words.replace(self._secret, "***") if len(self._secret) >= LEAST_SECRET_CHARACTERS else words

    async def _ask_profile(self) -> Profile:
        if self._profile is None:
            self._profile = await self._dialect.profile()
        return self._profile

    async def _wait(self, fault: ServerFaultError, call: _Call) -> None:
        left_seconds = call.started + call.limits.timeout_seconds - time.monotonic()
        pause_seconds = fault.retry_seconds
        if pause_seconds is None:
            most = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**call.pauses)
            pause_seconds = min(left_seconds, most * random.uniform(0.8, 1.0))  # noqa: S311 - so that callers part ways
        else:
            pause_seconds = max(pause_seconds, min(FIRST_PAUSE_SECONDS, LEAST_PAUSE_SECONDS * 2**call.pauses))
        call.pauses += 1
        call.reason = f"its server answered {fault.status or 'an error'}: {self._redact(fault.words)}"
        if pause_seconds > left_seconds:
            message = f"{self._name} asks to wait {pause_seconds:.0f} s, {left_seconds:.0f} s are left; {call.reason}"
            raise ModelUnavailableError(message, model=self._name)
        log.warning("waiting %.1f s for %s: %s", pause_seconds, self._name, call.reason)
        await asyncio.sleep(pause_seconds)

    def _keep_last_guess(self, call: _Call) -> None:
        """Of what was left out by guess, the last is what the server refused; the rest may be sent again."""
        self._refused -= set(call.tried_without[:-1])

    def _finish(self, call: _Call) -> Completion:
        answer = call.answer
        completion = answer.complete(
            self._name,
            call.messages,
            as_json=call.schema is not None,
            first_token_seconds=call.first_token_seconds,
        )
        if not completion.text and answer.finish_reason == "content_filter":
            raise unreadable(self._name, "the server's content filter withheld it")
        self._needs_budget = answer.is_thinking or (not completion.text and completion.finish_reason == "length")
        self._is_thinking = self._is_thinking or self._needs_budget
        if call.on_text is not None and completion.text != call.shown:
            call.on_text(completion.text)
        return completion

    def _explain_timeout(self, call: _Call) -> ModelUnavailableError:
        if time.monotonic() - call.started < call.limits.timeout_seconds - 0.01:
            message = f"{self._name} wrote nothing more for {call.limits.stall_seconds:g} s"
            return ModelUnavailableError(message, model=self._name)
        return too_slow(self._name, call.limits.timeout_seconds, call.reason)

    def _explain_break(self, why: str = "") -> ModelUnavailableError:
        reason = f": {self._redact(why)}" if why else ""
        return ModelUnavailableError(f"the answer of {self._name} broke off{reason}", model=self._name)


def _list_optional(body: Mapping[str, Any]) -> list[str]:
    """What of a body a server may refuse, in the order in which it is left out by guess."""
    has_system = any(message["role"] == "system" for message in body.get("messages", ()))
    options = body.get("options", {})
    return [name for name in OPTIONAL if name in body or name in options or (name == "system" and has_system)]
