"""OLLAMA_HOST and the names of models, as Ollama's own command takes them."""

from __future__ import annotations

import ipaddress
import re

DEFAULT_PORT = 11434
_REGISTRY = re.compile(r"^(?:https?://)?registry\.ollama\.ai/", re.IGNORECASE)


def ollama_url(host: str) -> str:
    """Returns the URL of what OLLAMA_HOST says. Raises ValueError.

    As for Ollama, every address (0.0.0.0, [::], none) is this machine for one who calls, a port that is missing is
    11434, or with a scheme that scheme's own, and a path is kept, but for the /v1 of its copy of OpenAI's API.
    """
    text = host.strip().strip("\"'")
    scheme, separator, rest = text.rpartition("://")
    scheme = scheme.lower() if separator else "http"
    port = {"http": 80, "https": 443}.get(scheme) if separator else DEFAULT_PORT
    if port is None:
        raise ValueError(f"OLLAMA_HOST must be host:port or a URL of http or https, not {host!r}")
    address, slash, path = rest.partition("/")
    if "@" in address:
        raise ValueError("OLLAMA_HOST must have no user or password: Ollama's API knows none")
    path = (slash + path).rstrip("/").removesuffix("/v1").rstrip("/")
    name, number = _split_port(address)
    if number:
        if not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536:
            raise ValueError(f"OLLAMA_HOST has the port {number!r}, not one from 1 to 65535")
        port = int(number)
    return f"{scheme}://{_callable_host(name)}:{port}{path}"


def plain_ollama_name(model: str) -> str:
    """Returns one spelling of a model's name: without the default registry and library, with its tag, in lower case."""
    name = _REGISTRY.sub("", model.strip()).lower().removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _split_port(address: str) -> tuple[str, str]:
    if address.startswith("["):
        name, _, rest = address[1:].partition("]")
        return name, rest.removeprefix(":")
    if address.count(":") > 1:
        return address, ""
    name, _, number = address.partition(":")
    return name, number


def _callable_host(name: str) -> str:
    try:
        address = ipaddress.ip_address(name or "0.0.0.0")  # noqa: S104 - compared with, not listened on
    except ValueError:
        return name
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else str(address)
