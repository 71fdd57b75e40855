"""How tests are written: they wait for conditions rather than sleep, and leave the event loop to the plugin."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
SLEEPS = {"time.sleep", "asyncio.sleep", "anyio.sleep"}
MAY_SLEEP = {
    "support/waiting.py",  # where all waiting is
    "bench/sidecars.py",  # measures what processes take while nothing happens
}
YIELD = "asyncio.sleep(0)"
"""Lets other tasks run once and waits for nothing; in a `while` it is a poll."""


def calls(path: Path) -> list[str]:
    """Each call in this file, as its source."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]


def polls(path: Path) -> list[str]:
    """Each loop of this file that sleeps."""
    tree = ast.parse(path.read_text("utf-8"))
    loops = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.While)]
    return [loop for loop in loops if any(f"{sleep}(" in loop for sleep in SLEEPS)]


def test_tests_never_sleep() -> None:
    """A sleep is too short on a busy machine and too long on an idle one: `until` and `wait_until` look again."""
    sleeping = [
        f"{path.relative_to(TESTS)}: {found}"
        for path in TESTS.rglob("*.py")
        if path.relative_to(TESTS).as_posix() not in MAY_SLEEP
        for found in [
            *(call for call in calls(path) if call != YIELD and call.partition("(")[0] in SLEEPS),
            *polls(path),
        ]
    ]
    assert sleeping == [], "wait for the condition by tests/support/waiting"


def test_async_tests_are_run_by_the_plugin() -> None:
    """A test that needs a loop is `async def`; only programs and what has no test's loop make one themselves."""
    running = [
        path.name for path in TESTS.rglob("test_*.py") for call in calls(path) if call.startswith("asyncio.run(")
    ]
    assert running == [], "write `async def test_...`"
