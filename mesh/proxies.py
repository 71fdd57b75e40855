"""Which proxy of the environment leads to a URL: the one answer for all that calls other machines.

The variables are read as curl and Python read them, in either case, and those of NO_PROXY in each form that people
write: names and their subdomains, addresses, networks, ports, `*`. This machine, names without a dot, which are the
cluster's, and Unix sockets are never reached by a proxy. Whoever opens a connection to somewhere else asks here.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES = ("http", "https", "socks5", "socks5h")
_SPELLINGS = {"socks": "socks5h"}
"""What GNOME's settings put into ALL_PROXY, and what they mean: the proxy finds the name."""
_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
_PORTS = {"http": 80, "https": 443}
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):(\d+)")


class ProxyError(ValueError):
    """A proxy of the environment that is needed cannot be used. The message names the variable, and no password."""


def is_local(url: str) -> bool:
    """Says whether a URL names this machine or a name of this cluster."""
    host = _split(url).hostname or ""
    address = _address_of(host)
    if address is None:
        return "." not in host.rstrip(".") or host.rstrip(".").endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def find_proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """Returns the URL of the proxy by which a URL is to be called; None: straight. Raises ProxyError, ValueError."""
    parts = _split(url)
    if is_local(url) or _is_spared(parts, environ.get("no_proxy", environ.get("NO_PROXY", ""))):
        return None
    for variable in (f"{parts.scheme}_proxy", "all_proxy"):
        for name in (variable, variable.upper()):
            if name in environ:
                if value := environ[name].strip():
                    return _read_proxy(name, value)
                break
    return None


def spell_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables with each proxy in a spelling that other programs, such as pip, take too."""
    found = dict(environ)
    for name, value in environ.items():
        scheme, separator, rest = value.partition("://")
        if separator and name.lower() in _VARIABLES and (known := _SPELLINGS.get(scheme.strip().lower())):
            found[name] = f"{known}://{rest}"
    return found


def _read_proxy(name: str, value: str) -> str:
    scheme, separator, rest = value.rpartition("://")
    scheme = _SPELLINGS.get(scheme.lower(), scheme.lower()) if separator else "http"
    shown = f"{name} is {value.rpartition('@')[2]!r}"
    if scheme not in SCHEMES:
        raise ProxyError(f"{shown}: its kind is not known; use one of {', '.join(f'{known}://' for known in SCHEMES)}")
    url = f"{scheme}://{rest}"
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and (parts.port or 1) > 0 and not re.search(r"\s", url)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ProxyError(f"{shown}, which is no proxy's address: write it like http://proxy.example.com:3128")
    return url


def _is_spared(parts: SplitResult, no_proxy: str) -> bool:
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _PORTS.get(parts.scheme)
    return any(_matches(entry.lower(), host, port) for entry in re.split(r"[\s,]+", no_proxy) if entry)


def _matches(entry: str, host: str, port: int | None) -> bool:
    entry = entry.rpartition("://")[2]
    if found := _WITH_PORT.fullmatch(entry):
        entry = found[1]
        if int(found[2]) != port:
            return False
    entry = entry.strip("[]").rstrip(".")
    address = _address_of(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return "*" in entry and fnmatch.fnmatchcase(host, entry)
    name = entry.removeprefix("*.").lstrip(".")
    if "*" in entry and fnmatch.fnmatchcase(host, entry):
        return True
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _split(url: str) -> SplitResult:
    return urlsplit(url if "//" in url else f"//{url}")
