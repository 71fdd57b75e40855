"""How tests are written: they wait for conditions rather than sleep, and leave the event loop to the plugin."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
SLEEPS = {"time.sleep", "asyncio.sleep", "anyio.sleep"}
MAY_SLEEP = {
    "support/waiting.py",  # where all waiting is
    "bench/sidecars.py",  # measures what processes take while nothing happens
}
YIELD = "asyncio.sleep(0)"
"""Lets other tasks run once and waits for nothing; in a `while` it is a poll."""


def calls(tree: ast.AST) -> list[str]:
    """Each call below this node, as its source."""
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def sleeps(path: Path) -> list[str]:
    """Each call of this file that sleeps, and each loop that lets others run until a condition holds."""
    text = path.read_text("utf-8")
    if "sleep(" not in text:
        return []
    tree = ast.parse(text)
    sleeping = [call for call in calls(tree) if call != YIELD and call.partition("(")[0] in SLEEPS]
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.While) and YIELD in calls(node)]
    return [*sleeping, *(f"a loop at line {loop.lineno}" for loop in loops)]


def test_tests_never_sleep() -> None:
    """A sleep is too short on a busy machine and too long on an idle one: `until` and `wait_until` look again."""
    files = {path.relative_to(TESTS).as_posix(): path for path in TESTS.rglob("*.py")}
    found = [f"{name}: {call}" for name, path in files.items() if name not in MAY_SLEEP for call in sleeps(path)]
    assert not found, "\n".join(["wait for the condition by tests/support/waiting:", *found])


def test_async_tests_are_run_by_the_plugin() -> None:
    """A test that needs a loop is `async def`; only programs and what has no test's loop make one themselves."""
    run = re.compile(r"^(?!\s*#).*\basyncio\.run\(", re.MULTILINE)
    tests = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    found = [path.relative_to(TESTS).as_posix() for path in tests if run.search(path.read_text("utf-8"))]
    assert not found, f"write `async def test_...`: {', '.join(found)}"
