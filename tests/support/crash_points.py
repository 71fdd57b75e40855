"""Boundaries at which a process of a running system kills itself, once, as a test's plan says.

The product has no hooks for this: `install` wraps a few public methods of its classes in this process, before wiring
builds objects of them. A test writes one plan at a time into a folder that all processes share, so one running system
serves every row of the crash table. Used by tests.support.scripted_service, with CRASH_FOLDER set.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
from collections import defaultdict
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mesh.bus.kafka_python import KafkaConsumer
from mesh.bus.relay import Relay
from mesh.service import Foundation
from mesh.store.database import Database, Transaction
from mesh.testing.scripted_model import ScriptedModel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from mesh.bus.message import Incoming, OutboxRow, Outgoing
    from mesh.llm.port import Completion

HELD_SECONDS = 600.0
"""Longest hold of a model call; longer than any test may take, so that the test ends it."""
ACKNOWLEDGED_SECONDS = 10.0
"""For the broker's acknowledgement of a record, before the offset commit that follows it."""


class Point(StrEnum):
    """A boundary, and what `Plan.at` names there."""

    BEFORE_MODEL = "before the model call"
    """The call's seed."""
    AFTER_MODEL = "after the model call"
    """The call's seed; the completion is there and nothing of it stored."""
    BEFORE_COMMIT = "before the commit"
    """ce_id of a record that the open transaction has just put into the outbox."""
    AFTER_COMMIT = "after the commit"
    """ce_id of a record of the commit, before it is published; or "DEBATE/events/NUMBER" of one without a record."""
    AFTER_PUBLISH = "after the publish"
    """ce_id of the record whose offset is about to be committed; the broker has acknowledged `Plan.published`."""
    AFTER_OFFSET = "after the offset commit"
    """ce_id of the record whose offset the broker has just stored."""


@dataclass(frozen=True)
class Plan:
    """Who dies where, and what waits for it."""

    pod: str = ""
    """Empty: nobody dies."""
    point: Point = Point.BEFORE_MODEL
    at: str = ""
    published: str = ""
    """For AFTER_PUBLISH: ce_id of the record that must have been acknowledged."""
    held: str = ""
    """Seed of a model call that waits until the death, in whatever process; "all": every call waits for the next plan.

    It keeps the rest of the debate from running ahead of a death, which would make the count of calls a matter of luck.
    """
    marker: str = ""
    """File in the folder that the death leaves; nobody dies once it is there."""


class CrashFolder:
    """What the test and the processes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan_file = folder / "plan.json"
        self._completions_file = folder / "completions.jsonl"

    def write(self, plan: Plan) -> None:
        """Replaces the plan; each process sees the old one or the new one."""
        new = self._plan_file.with_suffix(".new")
        new.write_text(json.dumps(asdict(plan)), "utf-8")
        new.replace(self._plan_file)

    def plan(self) -> Plan:
        """The plan now; before the first one, nobody dies and nothing waits."""
        try:
            values = json.loads(self._plan_file.read_text("utf-8"))
        except FileNotFoundError:
            return Plan()
        return Plan(**{**values, "point": Point(values["point"])})

    def died(self, plan: Plan) -> bool:
        """Says whether the death of this plan happened."""
        return (self._folder / plan.marker).exists()

    def pid(self, plan: Plan) -> int:
        """The process that died as planned."""
        return int((self._folder / plan.marker).read_text("utf-8"))

    def mark(self, plan: Plan) -> bool:
        """Notes that this process dies now; False if one did already."""
        try:
            descriptor = os.open(self._folder / plan.marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        os.write(descriptor, str(os.getpid()).encode())
        os.close(descriptor)
        return True

    def note(self, seed: int | None, completion: Completion) -> None:
        """Notes what a model call that came to its end has cost."""
        tokens = completion.prompt_tokens + completion.completion_tokens
        with self._completions_file.open("ab", buffering=0) as stream:
            stream.write(json.dumps({"seed": seed, "tokens": tokens}).encode() + b"\n")

    def completions(self) -> Mapping[int, Sequence[int]]:
        """Tokens of each completed model call so far, by seed."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for line in self._completions_file.read_text("utf-8").splitlines():
            completion = json.loads(line)
            found[completion["seed"]].append(completion["tokens"])
        return found


class CrashPoints:
    """The boundaries of one process. Methods may be called in any thread."""

    def __init__(self, folder: CrashFolder, pod: str) -> None:
        self.folder = folder
        self._pod = pod
        self._event_ids: dict[int, str] = {}
        """Of outbox rows that were committed."""
        self._acknowledged: set[str] = set()
        self._after_commit = threading.Condition()
        self._places: dict[str, tuple[str, int, int]] = {}
        """ce_id -> topic, partition, offset of a record that was read."""

    def reached(self, point: Point, *at: str) -> None:
        """Does not return if the plan is to die here."""
        plan = self.folder.plan()
        if self._is_ours(plan, point) and plan.at in at and self.folder.mark(plan):
            os.kill(os.getpid(), signal.SIGKILL)

    def holds(self, seed: int | None) -> bool:
        """Says whether a model call has to wait."""
        plan = self.folder.plan()
        return plan.held == "all" or (plan.held == str(seed) and not self.folder.died(plan))

    # ---- what the bus says ----

    def note_place(self, record: Incoming) -> None:
        """Notes where a record stands that was read."""
        self._places[record.event_id] = (record.topic, record.partition, record.offset)

    def committed(self, rows: Sequence[OutboxRow]) -> None:
        """A commit with these rows was made, and none of them is published yet."""
        self._event_ids.update((row.id, row.message.event_id) for row in rows)
        self.reached(Point.AFTER_COMMIT, *(row.message.event_id for row in rows))

    def acknowledged(self, ids: Sequence[int]) -> None:
        """The broker has these outbox rows."""
        with self._after_commit:
            self._acknowledged.update(self._event_ids.get(row_id, "") for row_id in ids)
            self._after_commit.notify_all()

    def offset_commit(self, offsets: Mapping[Any, Any]) -> tuple[str, ...]:
        """These offsets are about to be committed; returns the ce_ids of the handled records before them."""
        positions = {(part.topic, part.partition): offset.offset for part, offset in offsets.items()}
        covered = tuple(
            event_id
            for event_id, (topic, partition, offset) in list(self._places.items())  # the loop adds to it meanwhile
            if offset < positions.get((topic, partition), 0)
        )
        plan = self.folder.plan()
        if self._is_ours(plan, Point.AFTER_PUBLISH) and plan.at in covered:
            with self._after_commit:
                published = self._after_commit.wait_for(
                    lambda: plan.published in self._acknowledged, ACKNOWLEDGED_SECONDS
                )
            if published:
                self.reached(Point.AFTER_PUBLISH, plan.at)
        return covered

    def _is_ours(self, plan: Plan, point: Point) -> bool:
        return plan.pod == self._pod and plan.point is point and not self.folder.died(plan)


def install(folder: Path, pod: str, service: str) -> None:
    """Puts the boundaries around the classes that this service ("moderator" or "debater") is made of, for good."""
    points = CrashPoints(CrashFolder(folder), pod)

    async def complete(original: Callable[..., Any], self: ScriptedModel, *arguments: Any, **named: Any) -> Completion:
        seed = named["seed"]
        await until("the end of a hold", lambda: not points.holds(seed), seconds=HELD_SECONDS)
        points.reached(Point.BEFORE_MODEL, str(seed))
        completion: Completion = await original(self, *arguments, **named)
        points.folder.note(seed, completion)
        points.reached(Point.AFTER_MODEL, str(seed))
        return completion

    def enqueue(original: Callable[..., None], self: Transaction, message: Outgoing) -> None:
        original(self, message)
        points.reached(Point.BEFORE_COMMIT, message.event_id)

    def on_commit(original: Callable[..., None], self: Relay, rows: Sequence[OutboxRow]) -> None:
        points.committed(rows)
        original(self, rows)

    def mark_published(original: Callable[..., None], self: Database, ids: Sequence[int]) -> None:
        points.acknowledged(ids)
        original(self, ids)

    def consumer(
        original: Callable[..., Any],
        self: Foundation,
        topic: str,
        handler: Callable[[Any], Awaitable[None]],
        receive: Callable[[Incoming], Any] | None = None,
    ) -> Any:
        def note_and_receive(record: Incoming) -> Any:
            points.note_place(record)
            return record if receive is None else receive(record)

        return original(self, topic, handler, receive=note_and_receive)

    def commit_async(original: Callable[..., Any], self: Any, offsets: Mapping[Any, Any], **more: Any) -> Any:
        covered = points.offset_commit(offsets)
        return original(self, offsets, **more).add_callback(lambda _: points.reached(Point.AFTER_OFFSET, *covered))

    _wrap(ScriptedModel, complete)
    _wrap(Transaction, enqueue)
    _wrap(Relay, on_commit)
    _wrap(Database, mark_published)
    _wrap(Foundation, consumer)
    _wrap(KafkaConsumer, commit_async)
    if service == "moderator":
        _install_in_moderator(points)


def _install_in_moderator(points: CrashPoints) -> None:
    """Adds the moderator's commits that send no record: they are known by their debate's events."""
    from services.moderator.model.change import Change  # noqa: PLC0415 - one service a process
    from services.moderator.store.debate_store import DebateStore  # noqa: PLC0415

    async def change(original: Callable[..., Any], self: DebateStore, debate_id: str, decide: Any) -> Any:
        answer = await original(self, debate_id, decide)
        if isinstance(answer, Change):
            points.reached(Point.AFTER_COMMIT, *(f"{debate_id}/events/{event.number}" for event in answer.events))
        return answer

    _wrap(DebateStore, change)


def _wrap(owner: type, around: Callable[..., Any]) -> None:
    """Replaces the method of that name by `around`, which gets it as its first argument."""
    original = getattr(owner, around.__name__)

    @functools.wraps(original)
    def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        return around(original, self, *arguments, **named)

    setattr(owner, around.__name__, wrapped)
