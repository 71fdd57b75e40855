"""Imports Ollama's client, whichever environment it is imported in.

At its import it opens a client of its own that nobody uses, by OLLAMA_HOST, by proxies and by certificates of the
environment, and an import fails if one of them is not to its liking. What we call is opened by mesh.llm.ollama_client.
"""

from __future__ import annotations

import os

NAMES = ("OLLAMA_HOST", "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "all_proxy", "no_proxy")

_kept = {name: os.environ.pop(name) for name in [*NAMES, *map(str.upper, NAMES)] if name in os.environ}
try:
    import ollama
finally:
    os.environ.update(_kept)

__all__ = ["ollama"]
