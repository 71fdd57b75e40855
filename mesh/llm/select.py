"""Turns what a user writes for a model into an open model: "ollama:NAME", "openai:NAME", "embedded", "embedded:SIZE".

A service gets one of these in MODEL and calls `open_model`. "auto" is the command line's word only: `choose` turns it
into one of these before anything is started, and says why; `mesh.llm.checking` then asks it for one token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mesh.llm.ollama_names import ollama_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.llm.port import Model
    from mesh.llm.tuning import Tuning

FORMS = "auto, embedded, embedded:small, embedded:tiny, ollama:NAME, openai:NAME"
SIZES = ("default", "small", "tiny")
"""Sizes of embedded models; those of mesh.llm.embedded.catalogue (a test compares)."""

DEFAULT_OLLAMA_HOST = "http://127.0.0.1:11434"
DEFAULT_EMBEDDED_URL = "http://model:8080/v1"


class ModelNameError(ValueError):
    """Not the name of a model. The message says which forms there are."""


@dataclass(frozen=True, slots=True)
class ModelName:
    """A name, taken apart."""

    kind: Literal["ollama", "openai", "embedded"]
    detail: str
    """The server's name for it; for an embedded model its size."""

    def __str__(self) -> str:
        if self == ModelName("embedded", "default"):
            return "embedded"
        return f"{self.kind}:{self.detail}"


@dataclass(frozen=True, slots=True)
class ModelServers:
    """Where models are served."""

    ollama_host: str = DEFAULT_OLLAMA_HOST
    """OLLAMA_HOST: "host:port" or a URL."""
    openai_base_url: str | None = None
    """OPENAI_BASE_URL, ending in /v1; None means OpenAI's own."""
    openai_api_key: str | None = None
    """OPENAI_API_KEY; None if the server wants none."""
    embedded_url: str = DEFAULT_EMBEDDED_URL
    """EMBEDDED_URL, ending in /v1: the pod of the embedded model."""
    embedded_socket: str | None = None
    """Path of the Unix socket that leads there, if the pod has a sidecar that gives one."""
    ca_bundle: str | None = None
    """REQUESTS_CA_BUNDLE, for other machines; None if there is SSL_CERT_FILE, which the HTTP client reads itself."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What "auto" came to."""

    model: ModelName
    why: str
    """One sentence for people."""


def parse(text: str) -> ModelName:
    """Returns the name taken apart. Raises ModelNameError, also for "auto"."""
    kind, separator, detail = text.strip().partition(":")
    if kind == "embedded" and (detail or not separator):
        if (size := detail or "default") in SIZES:
            return ModelName("embedded", size)
        raise ModelNameError(f"no embedded model of size {detail!r}; sizes: {', '.join(SIZES)}")
    if kind == "ollama" and detail:
        return ModelName("ollama", detail)
    if kind == "openai" and detail:
        return ModelName("openai", detail)
    raise ModelNameError(f"{text!r} names no model; write one of: {FORMS}")


def open_model(text: str, servers: ModelServers, tuning: Tuning | None = None) -> Model:
    """Returns the model of that name, without connecting to its server.

    Raises ModelNameError, and ValueError for an address or a proxy of the environment that cannot be used.
    """
    name = parse(text)
    if name.kind == "ollama":
        from mesh.llm.ollama import OllamaModel  # noqa: PLC0415 - the HTTP client that only users of a model pay

        return OllamaModel(name.detail, host=servers.ollama_host, ca_bundle=servers.ca_bundle, tuning=tuning)
    if name.kind == "openai" and servers.openai_base_url is None and servers.openai_api_key is None:
        raise ModelNameError(f"{text} needs OPENAI_API_KEY, or OPENAI_BASE_URL of a server that wants no key")

    from mesh.llm.openai import OpenAIModel  # noqa: PLC0415 - as above

    if name.kind == "openai":
        return OpenAIModel(
            str(name),
            model=name.detail,
            base_url=servers.openai_base_url,
            api_key=servers.openai_api_key,
            ca_bundle=servers.ca_bundle,
            tuning=tuning,
        )
    from mesh.llm.embedded.catalogue import WEIGHTS  # noqa: PLC0415 - its rows of hashes are needed by few

    return OpenAIModel(
        str(name),
        model=str(name),
        base_url=servers.embedded_url,
        socket=servers.embedded_socket,
        tuning=tuning,
        profile=WEIGHTS[name.detail].profile,
    )


async def choose(
    text: str,
    servers: ModelServers,
    *,
    memory_bytes: int,
    notify: Callable[[str], None] = lambda _line: None,
) -> Choice:
    """Returns which model to use; "auto" takes one of a running Ollama, else the embedded one. Raises ModelNameError.

    `memory_bytes`: what a model that is not loaded yet may take. `notify` gets what is waited for.
    """
    if text.strip() != "auto":
        return Choice(parse(text), "as asked for")
    from mesh.llm.ollama_server import find_chat_model, list_models  # noqa: PLC0415 - as above

    url = ollama_url(servers.ollama_host)
    embedded = ModelName("embedded", "default")
    installed = await list_models(servers.ollama_host, notify=notify, ca_bundle=servers.ca_bundle)
    if installed is None:
        return Choice(embedded, f"no Ollama answers at {url}")
    found = await find_chat_model(
        servers.ollama_host, installed, memory_bytes=memory_bytes, ca_bundle=servers.ca_bundle
    )
    if found is None:
        return Choice(embedded, f"Ollama is running at {url} but has no chat model that runs there")
    return Choice(ModelName("ollama", found), f"Ollama is running at {url}")
