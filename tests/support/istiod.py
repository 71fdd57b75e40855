"""Go for tests: without one that is new enough a test is skipped at a desk and fails in CI."""

from __future__ import annotations

from mesh.istiod import building
from mesh.local.errors import MissingPartError
from tests.support.requires import missing


def needed_go() -> str:
    """Returns a Go that is new enough; else as `missing`."""
    try:
        return building.find_go()
    except MissingPartError as error:
        return missing(str(error))
