"""Names of models."""

from __future__ import annotations

import pytest

from mesh.llm.select import ModelName, ModelNameError, ModelServers, choose, open_model, parse
from mesh.testing.openai_server import ScriptedServer


@pytest.mark.parametrize(
    ("text", "kind", "detail"),
    [
        ("embedded", "embedded", "default"),
        ("embedded:small", "embedded", "small"),
        ("ollama:llama3.2:1b", "ollama", "llama3.2:1b"),
        (" openai:gpt-x ", "openai", "gpt-x"),
    ],
)
def test_parse(text: str, kind: str, detail: str) -> None:
    """A name is taken apart at its first colon, and written back as it was."""
    name = parse(text)
    assert (name.kind, name.detail) == (kind, detail)
    assert str(name) == text.strip()


@pytest.mark.parametrize("text", ["", "auto", "ollama", "ollama:", "embedded:", "embedded:huge", "gpt", "scripted"])
def test_no_name(text: str) -> None:
    """What names no model is refused with the forms there are; the scripted model has no name."""
    with pytest.raises(ModelNameError, match=r"ollama:NAME|small"):
        parse(text)


def test_key_is_asked_for() -> None:
    """OpenAI's own API without a key is refused before anything starts."""
    with pytest.raises(ModelNameError, match="OPENAI_API_KEY"):
        open_model("openai:gpt-x", ModelServers())


async def test_auto() -> None:
    """Auto takes a running Ollama, else the embedded model, and says which and why."""
    with ScriptedServer() as server:
        servers = ModelServers(ollama_host=server.url)
        assert str((await choose("auto", servers, memory_bytes=2**33)).model) == "ollama:scripted:latest"
    choice = await choose("auto", servers, memory_bytes=2**33)
    assert choice.model == ModelName("embedded", "default")
    assert server.url in choice.why
