"""Every loop that may try again, and every `except` that takes all errors, is in a table with its bound and its end.

A new one fails here until its row is written. A row answers: how often at most, or how long between tries; who is told
(a metric, the `trouble` of a health check, `rostrum status`, the record); and in which stated outcome it ends.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.support.buf import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAITING_CALLS = {"sleep", "wait", "_wait", "wait_for", "get"}

LOOPS = {
    "mesh/agent/catching_up.py CatchingUp._fetch_turns": "a share of the floor's time; then the turn is spoken without",
    "mesh/agent/watching.py Watching._find": "WAIT_SECONDS; then the watch ends",
    "mesh/agent/watching.py _follow": "waits for the draft to change; a draft always ends",
    "mesh/bus/batches.py read_batches": "one pass a batch of the fetch; what cannot be read is a dead letter, counted",
    "mesh/bus/codecs.py decompress_gzip": "the payload's length, and MAX_BATCH_BYTES of output; then CodecError",
    "mesh/bus/consumer.py KeyedConsumer._read_until_stopped": "until stop; a topic that is not there: not ready, why",
    "mesh/bus/consumer.py KeyedConsumer._run": "a new client after 1 to 15 s; metric; after 3 in a row not ready: why",
    "mesh/bus/dispatcher.py Dispatcher._keep": (
        "up to 5 s between tries, nothing is committed past it; metric; after 3 not ready: why. Refused for "
        "good: without its value, then counted as unkept"
    ),
    "mesh/bus/dispatcher.py Dispatcher._try": (
        "max_tries, then a dead letter; a store that is away is waited for, up to 5 s between tries, and is "
        "why the pod is not ready"
    ),
    "mesh/bus/fetching.py Fetching._pump": "until there is nothing more; an error ends the client, see _run",
    "mesh/bus/publisher.py Publisher._connect_until_closing": (
        "0.5 s between tries; records fail after 2 s as BrokerUnavailableError, and the pod is not ready: why"
    ),
    "mesh/bus/publisher.py Publisher._run": "until stop; a fault of ours is logged, 1 s between tries",
    "mesh/bus/publisher.py Publisher._send_until_closing": "until stop; waits for something to send",
    "mesh/bus/reachable.py wait_reachable": "up to 0.5 s, refused up to 5 s, between tries; not ready: why",
    "mesh/bus/relay.py Relay._scan_until_stopped": (
        "up to 2 s between tries; metric; after 3 in a row, if nothing is published, not ready: why. The rows stay"
    ),
    "mesh/bus/relay.py Relay._wait_settled": "the producer's delivery timeout ends each record that it waits for",
    "mesh/cli/agents.py _history": "as many pages as the agent has, each within a deadline",
    "mesh/cli/lifecycle.py _logs": "until Ctrl-C: that is what -f asks for",
    "mesh/cli/lifecycle.py _wait_stopped": "until another command stops it, or Ctrl-C",
    "mesh/cli/starting.py _find_running": "OTHER_SECONDS; then exit 1 with what to do",
    "mesh/llm/chat.py ChatModel._request_until_answered": (
        "the call's time limit; each refused option once; then ModelError"
    ),
    "mesh/llm/embedded/weights.py _download": "until pip ends, or the user does",
    "mesh/llm/embedded/weights.py _locked": "while another process downloads the same, or until the user ends it",
    "mesh/local/broker.py BrokerNode._serve_once": "RECORD_SECONDS; then without an archive",
    "mesh/local/client.py LocalRunner.stop": "ANSWER_SECONDS and STOP_SECONDS; then LocalError with what to kill",
    "mesh/local/envoy.py Envoy.settle": "SETTLE_SECONDS; then ConfigurationRefusedError, and the change is undone",
    "mesh/local/identities.py Identities._keep": (
        "up to 60 s between tries, each logged; the old one is good for as long again, and connections then "
        "say what is wrong"
    ),
    "mesh/local/identities.py Identities._notify": "up to 60 s between tries, each logged",
    "mesh/local/key_sets.py KeySets.run": (
        "each issuer's keys again after their refresh, or, when that failed, after a wait that doubles to a bound; the "
        "last good ones are kept, and status says why"
    ),
    "mesh/local/pods.py Pod._keep_running": (
        "up to 30 s between starts; counted as restarts; not ready, and status says how it ended, how often "
        "in a row, and when it starts next"
    ),
    "mesh/local/pods.py Pod._probe_until_unwell": "while the process lives; its start is bounded by START_SECONDS",
    "mesh/local/pods.py Pod._watch_liveness": "failure_threshold; then the process is ended, see _keep_running",
    "mesh/local/pods.py Pod._watch_readiness": "while the process lives; not ready: why",
    "mesh/local/reconciler.py Reconciler._observe": "up to 60 s between tries, each logged",
    "mesh/local/reconciler.py Reconciler.wait_until_ready": "START_SECONDS, or three crashes; then StartupError: why",
    "mesh/local/rights.py _wait_until_active": "ACTIVE_SECONDS; then StartupError",
    "mesh/local/runner.py Runner.Start": "until the start has ended; its parts are bounded",
    "mesh/rpc/health.py Health.Watch": "until the caller goes or the server stops",
    "mesh/rpc/server.py Server._check_until_stopped": "until stop: it is what says not ready and why",
    "mesh/rpc/server_sent_events.py stream_events": "until the messages end or the caller goes",
    "mesh/store/database.py Database._write_forever": (
        "until it is closed; TRIES a commit, then the jobs' error; a thread that ended is why the pod is not live"
    ),
    "mesh/store/engine.py _use_wal": "BUSY_SECONDS; then the start fails with the database's error",
    "mesh/store/readers.py Readers._serve": "until it is closed; an error is its job's",
    "services/debater/clients.py ModeratorRecord.fetch_turns": "as many pages as there are turns, within its seconds",
    "services/moderator/answers.py read_object": "one pass a bracket of the text",
    "services/moderator/commands/debates.py _create": "CREATE_SECONDS; then the moderator's own error",
    "services/moderator/commands/debates.py _list": "--limit",
    "services/moderator/commands/debates.py _show": "as many pages as there are turns, each within a deadline",
    "services/moderator/commands/following.py follow_events": "PATIENCE_SECONDS without an event; then exit 5",
    "services/moderator/commands/live.py LiveTurns._watch": (
        "until the next event of the debate; a refusal ends it for good"
    ),
    "services/moderator/logic/moderator.py Moderator.run_timers": (
        "up to 60 s between tries; metric; after 3 in a row not ready: why. A debate that cannot be seen to "
        "is tried ever more rarely, and holds up no other"
    ),
    "services/moderator/logic/moderator.py Moderator.watch": "until the debate's end, or the caller goes",
    "services/moderator/logic/watching.py Wakeups._poll": (
        "while somebody watches; up to 2 s between tries; the store's trouble is why the pod is not ready"
    ),
}
"""Loops without a condition, and those that wait or hold a `try`: what bounds them, who is told, how they end."""

BACK = "cleans up and raises it again"
CATCHES = {
    "mesh/agent/drafts.py Drafts.open": BACK,
    "mesh/agent/floors.py Floors._speak": "MAX_FAULTS at one turn; then it is forfeited with the error as its reason",
    "mesh/bus/batches.py _Batches.next_batch": BACK,
    "mesh/bus/batches.py read_batches": "the batch is a dead letter with its bytes; one that is not found is raised",
    "mesh/bus/codecs.py _decompress_block": "CodecError",
    "mesh/bus/consumer.py KeyedConsumer._leave": "counted; what is not committed is read again",
    "mesh/bus/consumer.py KeyedConsumer._run": "see LOOPS",
    "mesh/bus/consumer.py _Rebalances.on_partitions_revoked": "counted; the new owner reads it again",
    "mesh/bus/dispatcher.py Dispatcher._keep": "see LOOPS",
    "mesh/bus/dispatcher.py Dispatcher._receive_early": "counted; the record is tried at its turn, see _try",
    "mesh/bus/dispatcher.py Dispatcher._try": "see LOOPS",
    "mesh/bus/fetching.py Fetching._pump": "raised by `check` in the consumer's thread",
    "mesh/bus/kafka_python.py _connect_or_close": BACK,
    "mesh/bus/kafka_python.py _handshake_or_close": BACK,
    "mesh/bus/publisher.py Publisher._connect_until_closing": "see LOOPS",
    "mesh/bus/publisher.py Publisher._learn": "the records of this topic fail with it",
    "mesh/bus/publisher.py Publisher._run": "see LOOPS",
    "mesh/bus/publisher.py Publisher._send": "the publisher's caller gets it as RefusedError or BrokerUnavailableError",
    "mesh/bus/relay.py Relay._scan_until_stopped": "see LOOPS",
    "mesh/cli/program.py execute": "one line and exit 1",
    "mesh/llm/chat.py ChatModel.complete": "ModelError, once: never a loop of crashes that pays again",
    "mesh/local/certificates.py write_private": BACK,
    "mesh/local/class_archive.py ensure": "without an archive, which only costs time",
    "mesh/local/client.py LocalRunner.start": BACK,
    "mesh/local/identities.py Identities._keep": "see LOOPS",
    "mesh/local/identities.py Identities._notify": "see LOOPS",
    "mesh/local/identities.py replace_all": BACK,
    "mesh/local/reconciler.py Reconciler._observe": "see LOOPS",
    "mesh/local/reconciler.py Reconciler._run": BACK,
    "mesh/local/replica_factory.py ReplicaFactory.create_all": BACK,
    "mesh/local/runner.py Runner._start": BACK,
    "mesh/rpc/interceptors/errors.py answering": "INTERNAL with an id, under which the log has it",
    "mesh/rpc/server.py _find_trouble": "not ready: why",
    "mesh/runtime.py _stopped": "logged; the other parts are stopped",
    "mesh/store/database.py Database._commit": "the error of the jobs that wait for it",
    "mesh/store/database.py Database._run_in_savepoint": "the error of its job",
    "mesh/store/readers.py Readers._serve": "the error of its job",
    "services/moderator/logic/asking.py Asking.ask": (
        "an answer that cannot be used: TRIES, then the step goes on without"
    ),
    "services/moderator/logic/leased_steps.py LeasedSteps._run": (
        "metric; MAX_STEP_ATTEMPTS times as long as a lease, then the debate goes on without, and its record "
        "says STEP_FAILED or not measured"
    ),
    "services/moderator/logic/moderator.py Moderator.recover": "metric; this debate alone is left to the timers",
    "services/moderator/logic/moderator.py Moderator.fire_due": "metric; this debate alone waits, up to 60 s",
    "services/moderator/logic/moderator.py Moderator.run_timers": "see LOOPS",
    "services/moderator/logic/watching.py Wakeups._poll": "see LOOPS",
}
"""Where every error is taken: what becomes of it."""


def list_files() -> Iterator[Path]:
    """The product's modules; what only tests may use is not among them."""
    for folder in ("mesh", "services"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "testing" not in path.parts:
                yield path


def find_places(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yields "loop" or "catch" and the function that has it."""

    def visit(node: ast.AST, names: list[str]) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from visit(child, [*names, child.name])
                continue
            if isinstance(child, ast.While) and may_try_again(child):
                yield "loop", ".".join(names)
            if isinstance(child, ast.ExceptHandler) and takes_all(child):
                yield "catch", ".".join(names)
            yield from visit(child, names)

    yield from visit(tree, [])


def may_try_again(loop: ast.While) -> bool:
    """Says whether a loop has no condition, waits, or goes on after an error."""
    if isinstance(loop.test, ast.Constant):
        return True
    for node in ast.walk(loop):
        if isinstance(node, ast.Try):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in WAITING_CALLS:
                return True
    return False


def takes_all(handler: ast.ExceptHandler) -> bool:
    """Says whether it takes every error."""
    if handler.type is None:
        return True
    return any(
        isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"} for node in ast.walk(handler.type)
    )


def collect(kind: str) -> set[str]:
    found = set()
    for path in list_files():
        for what, where in find_places(ast.parse(path.read_text("utf-8"))):
            if what == kind:
                found.add(f"{path.relative_to(ROOT)} {where}")
    return found


def test_every_loop_that_may_try_again_says_its_bound() -> None:
    """The table has all of them, and no other."""
    assert collect("loop") == LOOPS.keys()


def test_every_catch_of_all_errors_says_what_becomes_of_it() -> None:
    """The table has all of them, and no other."""
    assert collect("catch") == CATCHES.keys()


def test_a_new_loop_is_found() -> None:
    """Whatever it looks like: without a condition, with a pause, or going on after an error."""
    found = "async def f():\n    while True:\n        g()\n    while x:\n        await asyncio.sleep(1)\n"
    found += "    while y:\n        try:\n            g()\n        except OSError:\n            continue\n"
    found += "    for z in x:\n        try:\n            g()\n        except (OSError, Exception):\n            pass\n"
    assert [kind for kind, _ in find_places(ast.parse(found))] == ["loop", "loop", "loop", "catch"]
