"""The HTTP client of the model adapters: by the proxy of the environment to other machines, never to this one.

Which proxy that is, mesh.proxies says, for httpx2 and for httpx, on which Ollama's client is built; each by itself
reads HTTP_PROXY and NO_PROXY in another way. SSL_CERT_FILE and SSL_CERT_DIR are read from the process's environment by
both, alike. A server behind a Unix socket gets no proxy.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2

from mesh.proxies import find_proxy

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
    try:
        library.URL(url)
        proxy_url = None if socket else find_proxy(url, os.environ)
        # Now, so that what SSL_CERT_FILE names is missed before any call.
        needs_tls = any(address.startswith("https://") for address in (url, proxy_url or ""))
        tls = _open_tls(library, ca_bundle) if needs_tls else None
        proxy = library.Proxy(proxy_url, ssl_context=tls) if proxy_url and proxy_url.startswith("https") else proxy_url
        transport = library.AsyncHTTPTransport(uds=socket, limits=limits, verify=tls or False, proxy=proxy)
    except library.InvalidURL as error:
        raise ValueError(f"{url}, or a proxy of the environment, is no URL: {error}") from error
    except ImportError as error:
        raise ValueError(f"the proxy {proxy_url} cannot be used: {error}") from error
    except OSError as error:
        names = ("REQUESTS_CA_BUNDLE",) if ca_bundle else ("SSL_CERT_FILE", "SSL_CERT_DIR")
        name = next((name for name in names if os.environ.get(name)), names[0])
        what = f"{name} is {ca_bundle or os.environ.get(name)!r}, which cannot be used: {error.strerror or error}"
        raise ValueError(f"{what}; name a file of certificates in PEM") from error
    # What it would look up in the environment for itself was looked up above.
    return opener(transport=transport, trust_env=False, **{"timeout": None, **options})


def _open_tls(library: Any, ca_bundle: str | None) -> ssl.SSLContext:
    """Returns who may sign for a server: those of the bundle, else of SSL_CERT_FILE or SSL_CERT_DIR, else the usual."""
    if not ca_bundle:
        context: ssl.SSLContext = library.create_ssl_context()
        return context
    is_folder = Path(ca_bundle).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else ca_bundle, capath=ca_bundle if is_folder else None)
