"""Which proxy of the environment leads where, in each form that people write."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mesh.proxies import ProxyError, find_proxy, is_local, spell_proxies
from mesh.testing.openai_server import ScriptedServer
from mesh.testing.proxy import ScriptedProxy

HOSTED = "https://api.models.example.com/v1"
PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.9.9.9:1/v1", True),
        ("model:8080", True),
        ("http://localhost", True),
        ("http://api.localhost.", True),
        ("http://[::1]:11434", True),
        ("http://[::ffff:127.0.0.1]:1", True),
        ("http://0.0.0.0:11434", True),
        ("127.0.0.1:4317", True),
        ("https://api.example.com", False),
        ("http://192.168.1.2:11434", False),
        ("http://[2001:db8::1]", False),
    ],
)
def test_local(url: str, local: bool) -> None:  # noqa: FBT001
    """This machine and names without a dot are local: no proxy of the environment gets their requests."""
    assert is_local(url) is local
    assert (find_proxy(f"http://{url.rpartition('//')[2]}", {"http_proxy": PROXY}) is None) is local


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": "http://lower.example:1", "HTTPS_PROXY": PROXY}, "http://lower.example:1"),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ({"http_proxy": PROXY}, None),
        ({"grpc_proxy": PROXY}, None),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"all_proxy": PROXY, "https_proxy": "http://near.example:1"}, "http://near.example:1"),
        ({"https_proxy": "proxy.example.com:3128"}, PROXY),
        ({"https_proxy": " http://user:p%40ss@proxy.example.com:3128 "}, "http://user:p%40ss@proxy.example.com:3128"),
        ({"https_proxy": "https://proxy.example.com"}, "https://proxy.example.com"),
        ({"ALL_PROXY": "SOCKS5h://127.0.0.1:1080"}, "socks5h://127.0.0.1:1080"),
        ({"all_proxy": "socks://127.0.0.1:1080/"}, "socks5h://127.0.0.1:1080/"),
    ],
)
def test_proxy(environ: dict[str, str], proxy: str | None) -> None:
    """The scheme's own goes before that of all, lower case before upper; GNOME's socks:// is SOCKS 5."""
    assert find_proxy(HOSTED, environ) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "spared"),
    [
        ("*", HOSTED, True),
        ("other.example, *", HOSTED, True),
        ("example.com", HOSTED, True),
        (".example.com", HOSTED, True),
        ("*.example.com", HOSTED, True),
        ("EXAMPLE.com.", HOSTED, True),
        ("api.models.example.com", HOSTED, True),
        ("api.models.example.com:443", HOSTED, True),
        ("api.models.example.com:8443", HOSTED, False),
        ("https://api.models.example.com", HOSTED, True),
        ("ample.com", HOSTED, False),
        ("models.example.org", HOSTED, False),
        ("a.example b.example\tmodels.example.com", HOSTED, True),
        ("", HOSTED, False),
        (" , ,", HOSTED, False),
        ("10.0.0.0/8", "http://10.1.2.3:11434", True),
        ("10.0.0.0/8", "http://11.1.2.3:11434", False),
        ("10.1.2.3", "http://10.1.2.3:11434", True),
        ("10.1.2.3:11434", "http://10.1.2.3:11434", True),
        ("10.1.2.3:80", "http://10.1.2.3:11434", False),
        ("10.1.*", "http://10.1.2.3:11434", True),
        ("10.0.0.0/8", "http://10.example.com", False),
        ("2001:db8::/32", "http://[2001:db8::7]:11434", True),
        ("[2001:db8::7]", "http://[2001:db8::7]:11434", True),
        ("[2001:db8::7]:11434", "http://[2001:db8::7]:11434", True),
        ("2001:db8::7", "http://[2001:db8::8]:11434", False),
        ("10.0.0.0/99,[,::/x,:80", HOSTED, False),
    ],
)
def test_no_proxy(no_proxy: str, url: str, *, spared: bool) -> None:
    """Names with their subdomains, addresses, networks, ports and `*`, apart by commas or spaces."""
    for name in ("no_proxy", "NO_PROXY"):
        assert (find_proxy(url, {"ALL_PROXY": PROXY, name: no_proxy}) is None) is spared


@pytest.mark.parametrize(
    "value",
    [
        "gopher://proxy:1",
        "http://",
        "://",
        "http://proxy:none",
        "http://proxy:99999",
        "not a proxy",
        "http://[::1",
        ":80",
    ],
)
def test_no_proxy_at_all(value: str) -> None:
    """What is no proxy is refused by the name of its variable, where it would be needed and nowhere else."""
    with pytest.raises(ProxyError, match=r"^HTTPS_PROXY is "):
        find_proxy(HOSTED, {"HTTPS_PROXY": value})
    assert find_proxy("http://127.0.0.1:1", {"HTTP_PROXY": value}) is None
    assert find_proxy(HOSTED, {"HTTPS_PROXY": value, "NO_PROXY": "example.com"}) is None


def test_a_password_is_not_shown() -> None:
    """A proxy that is refused is shown without who logs in there."""
    with pytest.raises(ProxyError) as raised:
        find_proxy(HOSTED, {"HTTPS_PROXY": "ftp://user:s3cret@proxy:21"})
    assert "s3cret" not in str(raised.value)


def test_spelling_for_others() -> None:
    """What GNOME calls socks:// is called what it is for programs that know no other name, and nothing else changes."""
    given = {"ALL_PROXY": "socks://127.0.0.1:1080/", "http_proxy": PROXY, "NOTE": "socks://x", "no_proxy": "socks://x"}
    assert spell_proxies(given) == {**given, "ALL_PROXY": "socks5h://127.0.0.1:1080/"}


@pytest.mark.parametrize("kind", ["http", "socks5h", "socks"])
def test_downloads_by_a_proxy(kind: str) -> None:
    """Kafka's jars come by `requests`, which goes by an HTTP proxy and by SOCKS alike."""
    program = "import requests; print(requests.get('http://jars.example/health', timeout=20).json())"
    with ScriptedServer() as server:
        host, port = server.url.removeprefix("http://").split(":")
        with ScriptedProxy({"jars.example:80": (host, int(port)), "127.0.0.1:80": (host, int(port))}) as proxy:
            cleared = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
            environ = spell_proxies({**cleared, "ALL_PROXY": f"{kind}://{proxy.address}"})
            done = subprocess.run(
                [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False
            )
            assert done.stdout == "{'status': 'ok'}\n", done.stderr[-300:]
            assert proxy.asked
