"""The HTTP client of the model adapters: by the proxy of the environment to other machines, never to this one.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY (HTTP and SOCKS), NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR are httpx2's own, and
httpx's, on which Ollama's client is built; both read them from the process's environment. A server on this machine, in
the cluster, or behind a Unix socket gets none of it.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2

from mesh.llm.http_errors import is_local

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Client = TypeVar("Client")

KEEPALIVE_SECONDS = 2.0
"""An idle connection is used again for so long: below the 5 s after which common servers close theirs."""


def open_client(
    url: str, *, socket: str | None = None, headers: Mapping[str, str] | None = None, ca_bundle: str | None = None
) -> httpx2.AsyncClient:
    """Returns a client for one server; time limits are the caller's. The rest is `open_by`'s."""
    return open_by(httpx2, httpx2.AsyncClient, url, socket=socket, ca_bundle=ca_bundle, headers=headers)


def open_by(
    library: Any,
    opener: Callable[..., Client],
    url: str,
    *,
    socket: str | None = None,
    ca_bundle: str | None = None,
    **options: Any,
) -> Client:
    """Returns what `opener` makes of the arguments of the AsyncClient of `library`: httpx2, or httpx, which it is like.

    `ca_bundle`: file of the authorities that may sign for a server, or folder of them. Raises ValueError if the URL, or
    a proxy or a bundle of the environment, cannot be used.
    """
    limits = library.Limits(keepalive_expiry=KEEPALIVE_SECONDS)
    verify: ssl.SSLContext | bool = not url.startswith("http://")
    options = {"timeout": None, **options}
    try:
        library.URL(url)
        if is_local(url) or socket:
            transport = library.AsyncHTTPTransport(uds=socket, limits=limits, verify=verify, trust_env=True)
            return opener(trust_env=False, transport=transport, **options)
        if ca_bundle:
            folder = Path(ca_bundle).is_dir()
            verify = ssl.create_default_context(
                cafile=None if folder else ca_bundle, capath=ca_bundle if folder else None
            )
        elif verify:
            verify = library.create_ssl_context()  # now, so that what SSL_CERT_FILE names is missed before any call
        return opener(limits=limits, verify=verify or True, **options)
    except library.InvalidURL as error:
        raise ValueError(f"{url}, or a proxy of the environment, is no URL: {error}") from error
    except ImportError as error:
        raise ValueError(f"the proxy of the environment cannot be used: {error}") from error
    except OSError as error:
        raise ValueError(f"SSL_CERT_FILE or REQUESTS_CA_BUNDLE cannot be read: {error}") from error
