"""What a test does when something it needs is missing: skip at a desk, fail where CI is set.

A suite that skips its database tests in silence proves nothing; a desk without the dependency still runs the rest.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skips the test, or fails it if CI is set, because `what` is missing."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and in CI nothing may be", pytrace=False)
    pytest.skip(f"{what} is missing")


def require(present: object, what: str) -> None:
    """Goes on if `present` is true; else as `missing`."""
    if not present:
        missing(what)


def require_command(name: str) -> str:
    """Returns the path of a command; else as `missing`."""
    path = shutil.which(name)
    if path is None:
        missing(f"the command {name}")
    return path


def require_module(name: str) -> None:
    """Goes on if the module can be imported; else as `missing`."""
    require(importlib.util.find_spec(name), f"the Python module {name}")
