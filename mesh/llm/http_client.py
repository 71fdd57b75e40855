"""The HTTP client of the model adapters: by the proxy of the environment to other machines, never to this one.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY (HTTP and SOCKS), NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR are httpx2's own and are
read from the process's environment. A server on this machine, in the cluster, or behind a Unix socket gets none of it.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from mesh.llm.http_errors import is_local

if TYPE_CHECKING:
    from collections.abc import Mapping

KEEPALIVE_SECONDS = 2.0
"""An idle connection is used again for so long: below the 5 s after which common servers close theirs."""


def open_client(
    url: str, *, socket: str | None = None, headers: Mapping[str, str] | None = None, ca_bundle: str | None = None
) -> httpx2.AsyncClient:
    """Returns a client for one server; time limits are the caller's.

    `ca_bundle`: file of the authorities that may sign for a server, or folder of them. Raises ValueError if a proxy or
    a bundle of the environment cannot be used.
    """
    limits = httpx2.Limits(keepalive_expiry=KEEPALIVE_SECONDS)
    verify: ssl.SSLContext | bool = not url.startswith("http://")
    try:
        if is_local(url) or socket:
            transport = httpx2.AsyncHTTPTransport(uds=socket, limits=limits, verify=verify, trust_env=True)
            return httpx2.AsyncClient(timeout=None, trust_env=False, transport=transport, headers=headers)
        if ca_bundle:
            folder = Path(ca_bundle).is_dir()
            verify = ssl.create_default_context(
                cafile=None if folder else ca_bundle, capath=ca_bundle if folder else None
            )
        elif verify:
            verify = httpx2.create_ssl_context()  # now, so that what SSL_CERT_FILE names is missed before any call
        return httpx2.AsyncClient(timeout=None, limits=limits, verify=verify or True, headers=headers)
    except ImportError as error:
        raise ValueError(f"the proxy of the environment cannot be used: {error}") from error
    except OSError as error:
        raise ValueError(f"SSL_CERT_FILE or REQUESTS_CA_BUNDLE cannot be read: {error}") from error
