"""OLLAMA_HOST and names of models, as Ollama's own command takes them."""

from __future__ import annotations

import pytest

from mesh.llm.ollama_names import ollama_url, plain_ollama_name


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 - an address that is called
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("[::]", "http://[::1]:11434"),
        ("::", "http://[::1]:11434"),
        ("[::1]:8000", "http://[::1]:8000"),
        (":8000", "http://127.0.0.1:8000"),
        ("box", "http://box:11434"),
        ("box.local:8000/", "http://box.local:8000"),
        ("http://box", "http://box:80"),
        ("https://ollama.example.com", "https://ollama.example.com:443"),
        ("http://box:11434/v1/", "http://box:11434"),
        ("https://gate.example.com/ollama/", "https://gate.example.com:443/ollama"),
        (' "box:8000" ', "http://box:8000"),
        ("", "http://127.0.0.1:11434"),
        ("http://", "http://127.0.0.1:80"),
        ("0.0.0.0:11434/v1", "http://127.0.0.1:11434"),
        ("[::]:11434", "http://[::1]:11434"),
        ("http://[::]:11434/", "http://[::1]:11434"),
        ("HTTPS://Box.Example.com/v1", "https://Box.Example.com:443"),
        ("192.168.1.7", "http://192.168.1.7:11434"),
        ("2001:db8::7", "http://[2001:db8::7]:11434"),
        ("box:", "http://box:11434"),
    ],
)
def test_host(host: str, url: str) -> None:
    """Every address is this machine for one who calls; port, path and scheme are Ollama's own rules."""
    assert ollama_url(host) == url


@pytest.mark.parametrize("host", ["ftp://box", "box:none", "box:99999", "http://user:secret@box"])
def test_no_host(host: str) -> None:
    """What is no address is refused."""
    with pytest.raises(ValueError, match="OLLAMA_HOST"):
        ollama_url(host)


@pytest.mark.parametrize(
    "name", ["llama3.2", "Llama3.2", "llama3.2:latest", "library/llama3.2", "registry.ollama.ai/library/llama3.2"]
)
def test_spellings(name: str) -> None:
    """Tag, case, library and registry may be left out."""
    assert plain_ollama_name(name) == "llama3.2:latest"


def test_other_registries_stay() -> None:
    """A model of another registry is another one."""
    assert plain_ollama_name("hf.co/me/Model:Q4") == "hf.co/me/model:q4"
