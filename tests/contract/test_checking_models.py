"""What is wrong with a model is said in one line before anything is started; "auto" takes one that can chat here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mesh.errors import ModelError, ModelRefusedError, ModelUnavailableError
from mesh.llm.checking import MissingModelError, check_model
from mesh.llm.select import ModelServers, choose
from mesh.testing.misbehaviour import HTML, TEXT, in_turn, json_answer, openai_stream
from mesh.testing.openai_server import Raw, ScriptedServer
from mesh.testing.proxy import ScriptedProxy
from tests.support.hosted import HOST, hosted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MEMORY_BYTES = 16 * 2**30


async def check(text: str, server: ScriptedServer, *, path: str = "/v1", **servers: Any) -> None:
    await check_model(
        text,
        ModelServers(ollama_host=server.url, openai_base_url=server.url + path, openai_api_key="k", **servers),
        timeout_seconds=10,
    )


def model(name: str, parameters: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "model": name, "details": {"parameter_size": parameters}, "size": 2**30, **more}


@pytest.mark.parametrize("text", ["ollama:scripted", "openai:scripted", "embedded"])
async def test_good_models(text: str) -> None:
    """A model that answers is asked for one token; an embedded one, whose pod is not there yet, for none."""
    with ScriptedServer() as server:
        await check(text, server)
        assert len(server.bodies) == (0 if text == "embedded" else 1)
        assert all(body.get("max_tokens", body.get("options", {}).get("num_predict")) == 1 for body in server.bodies)


async def test_no_server() -> None:
    """No server is said with its address and what to do."""
    with ScriptedServer() as server:
        pass
    with pytest.raises(ModelUnavailableError, match="ollama serve"):
        await check("ollama:scripted", server)
    with pytest.raises(ModelUnavailableError, match=server.url):
        await check("openai:scripted", server)


async def test_no_such_model() -> None:
    """A missing model is said with the command that pulls it and what there is; also by the spelling of another tag."""
    with ScriptedServer() as server:
        with pytest.raises(MissingModelError, match=r"ollama pull llama9.*scripted:latest"):
            await check("ollama:llama9", server)
        await check("ollama:Scripted:latest".lower(), server)


@pytest.mark.parametrize(
    "name",
    [
        *("scripted", "Scripted", "scripted:latest", "SCRIPTED:LATEST", "library/scripted", "Library/Scripted"),
        *("registry.ollama.ai/library/scripted", "https://registry.ollama.ai/library/scripted:latest"),
    ],
)
async def test_spellings_of_a_model(name: str) -> None:
    """A server that takes no other spelling than its own is asked by that: case, tag, library and registry are free."""
    with ScriptedServer() as server:
        await check(f"ollama:{name}", server)
        assert server.bodies[0]["model"] in {name, "scripted:latest"}
        assert server.bodies[0]["model"].startswith("scripted")


@pytest.mark.parametrize("name", ["scripted:8b", "me/scripted", "hf.co/me/scripted", "scripte"])
async def test_other_models_are_others(name: str) -> None:
    """Another tag, user or registry is another model, which is not there."""
    with ScriptedServer() as server:
        server.paths["/api/tags"] = {"models": [model("scripted:latest")]}
        if name == "scripted:8b":  # which the server's own answer would take for the other
            name = "other:8b"
        with pytest.raises(MissingModelError, match=f"ollama pull {name}"):
            await check(f"ollama:{name}", server)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:{port}", "0.0.0.0:{port}", ":{port}", "localhost:{port}", "http://localhost:{port}"),
        *(
            "http://0.0.0.0:{port}/",
            "http://127.0.0.1:{port}/v1",
            "http://localhost:{port}/v1/",
            " 'localhost:{port}' ",
        ),
        *("HTTP://LOCALHOST:{port}", "http://127.0.0.1:{port}//"),
    ],
)
async def test_hosts_of_an_ollama(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each form that OLLAMA_HOST has on this machine the same server is found, and never by a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    with ScriptedServer() as server:
        servers = ModelServers(ollama_host=host.format(port=server.url.rpartition(":")[2]))
        assert str((await choose("auto", servers, memory_bytes=MEMORY_BYTES)).model) == "ollama:scripted:latest"
        await check_model("ollama:scripted", servers, timeout_seconds=10)
        assert len(server.bodies) == 1


@pytest.mark.parametrize("way", ["straight", "proxy"])
async def test_an_ollama_behind_tls(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who signed it is REQUESTS_CA_BUNDLE's for each look and call, at its list, its models, and its first token."""
    with hosted(tmp_path) as (server, address), ScriptedProxy({f"{HOST}:443": address}) as proxy:
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        host = f"https://{HOST}" if way == "proxy" else f"https://localhost:{address[1]}"
        servers = ModelServers(ollama_host=host, ca_bundle=str(tmp_path / "root.pem"))
        assert str((await choose("auto", servers, memory_bytes=MEMORY_BYTES)).model) == "ollama:scripted:latest"
        await check_model("ollama:scripted", servers, timeout_seconds=10)
        assert len(server.bodies) == 1
        assert bool(proxy.asked) is (way == "proxy")
        with pytest.raises(ModelUnavailableError, match="SSL_CERT_FILE"):
            await check_model("ollama:scripted", ModelServers(ollama_host=host), timeout_seconds=10)


@pytest.mark.parametrize(
    ("show", "words"),
    [
        ({"capabilities": ["embedding"]}, "embedding model"),
        ({"capabilities": ["completion"], "remote_host": "https://ollama.com:443"}, "ollama.com"),
        ({"capabilities": ["completion"], "model_info": {"x.context_length": 512}}, "512 tokens is too small"),
    ],
)
async def test_models_that_hold_no_debate(show: Mapping[str, Any], words: str) -> None:
    """Embedding models, models that run elsewhere and those with too little context are refused unasked."""
    with ScriptedServer() as server:
        server.show = dict(show)
        with pytest.raises(ModelRefusedError, match=words):
            await check("ollama:scripted", server)
        assert not server.bodies


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            json_answer({"error": {"message": "Incorrect API key provided: k"}}, 401),
            "Incorrect API key.*OPENAI_API_KEY",
        ),
        (json_answer({"error": {"message": "The model `x` does not exist"}}, 404), "does not exist"),
        (json_answer({"error": {"message": "broke", "code": "insufficient_quota"}}, 429), "broke"),
        (Raw([HTML], content_type="text/html"), "Bad Gateway"),
        (Raw([b"not here"], 404, "text/plain"), "not here"),
    ],
)
async def test_servers_own_words(answer: Raw, words: str) -> None:
    """What a server says is said on, with the variable that is to be looked at."""
    with ScriptedServer(lambda _call: answer) as server, pytest.raises(ModelError, match=words) as raised:
        await check("openai:scripted", server)
    assert "\n" not in raised.value.message


async def test_base_url_without_v1() -> None:
    """A base URL that lacks its /v1 is named whole."""
    with ScriptedServer() as server, pytest.raises(ModelRefusedError, match=f"OPENAI_BASE_URL={server.url}/v1"):
        await check("openai:scripted", server, path="")


async def test_chat_url_as_base_url() -> None:
    """The URL of the chat endpoint itself will do."""
    with ScriptedServer() as server:
        await check("openai:scripted", server, path="/v1/chat/completions")


async def test_loading_is_waited_for() -> None:
    """A model that loads is waited for."""
    loading = json_answer({"error": {"message": "Loading model"}}, 503, **{"Retry-After": "0"})
    with ScriptedServer(in_turn(loading, openai_stream({"content": TEXT}))) as server:
        await check("openai:scripted", server)


@pytest.mark.parametrize(
    ("installed", "loaded", "chosen"),
    [
        ([model("scripted:1b", "1.2B"), model("scripted:8b", "8.0B")], [], "ollama:scripted:8b"),
        ([model("scripted:1b", "1.2B"), model("scripted:8b", "8.0B")], ["scripted:1b"], "ollama:scripted:1b"),
        ([model("scripted:1b", "500M"), model("scripted:70b", "70B", size=40 * 2**30)], [], "ollama:scripted:1b"),
        ([model("scripted:1b", "1B"), model("scripted:big-cloud", "480B")], [], "ollama:scripted:1b"),
        (
            [model("scripted:1b", "1B"), model("scripted:x", "9B", remote_host="https://o.com")],
            [],
            "ollama:scripted:1b",
        ),
        ([model("other:9b", "9B")], [], "embedded"),
        ([], [], "embedded"),
    ],
)
async def test_auto(installed: Sequence[Mapping[str, Any]], loaded: Sequence[str], chosen: str) -> None:
    """Auto takes the most capable chat model that is loaded, else that is installed and fits; none that runs elsewhere.

    What an Ollama does not know any more when it is asked is passed over.
    """
    with ScriptedServer() as server:
        server.paths["/api/tags"] = {"models": installed}
        server.paths["/api/ps"] = {"models": [model(name) for name in loaded]}
        choice = await choose("auto", ModelServers(ollama_host=server.url), memory_bytes=MEMORY_BYTES)
    assert str(choice.model) == chosen


async def test_auto_takes_no_embedding_model() -> None:
    """A model that cannot chat is none."""
    with ScriptedServer() as server:
        server.show = {"capabilities": ["embedding"]}
        choice = await choose("auto", ModelServers(ollama_host=server.url), memory_bytes=MEMORY_BYTES)
    assert str(choice.model) == "embedded"
