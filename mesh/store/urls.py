"""The URL of a SQLite store in a file, as SQLAlchemy reads it, whatever the file's path holds.

SQLAlchemy's own `URL.create(...).render_as_string()` gives the same text (a test compares them); to import it takes
half a second, which the local runner need not pay. Opens nothing. Called by mesh.local.environment.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote


def sqlite_url(file: Path) -> str:
    """Returns "sqlite:///PATH". The path is absolute and UTF-8; a `?`, `#` or `%` in it is not the URL's."""
    return "sqlite:///" + quote(str(file), safe=" +/")
