"""Keys of issuers: had when they are first wanted, had again before they are old, and kept while they cannot be had."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mesh.local import key_sets
from mesh.local.certificates import Authority
from mesh.local.key_sets import KeySetError, KeySets, check_addresses, fetch_key_set
from mesh.local.messages import key_sets_of
from mesh.manifests import ManifestError
from mesh.sidecar.reading import load
from tests.support.answers import serving

KEYS = json.dumps({"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]})
OTHER_KEYS = json.dumps({"keys": [{"kty": "oct", "kid": "two", "k": "c2VjcmV0"}]})
ADDRESS = "http://127.0.0.1:1/keys"


class Issuer:
    """What an address answers: keys, or why there are none; the last answer again and again. `asked` counts."""

    def __init__(self, *answers: str | KeySetError) -> None:
        self._answers = list(answers)
        self.asked = 0
        self._is_asked = asyncio.Condition()

    async def fetch(self, _address: str) -> str:
        async with self._is_asked:
            self.asked += 1
            self._is_asked.notify_all()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, KeySetError):
            raise answer
        return answer

    async def wait(self, times: int) -> None:
        async with self._is_asked:
            await self._is_asked.wait_for(lambda: self.asked >= times)


@contextmanager
def running(found: KeySets, notified: asyncio.Event) -> Iterator[None]:
    async def notify() -> None:
        notified.set()

    task = asyncio.ensure_future(found.run(notify))
    try:
        yield
    finally:
        task.cancel()


async def test_keys_are_fetched_once_when_they_are_first_wanted() -> None:
    """One that the home makes itself is never fetched; one that nobody wants any more is forgotten."""
    issuer = Issuer(KEYS)
    found = KeySets({"own": "{}"}, issuer.fetch)
    assert await found.add([ADDRESS, "own"])
    assert not await found.add([ADDRESS])
    assert (issuer.asked, found.known) == (1, {"own": "{}", ADDRESS: KEYS})
    found.keep(["own"])
    assert (found.known, found.fetched) == ({"own": "{}"}, {})


async def test_keys_are_fetched_again_before_they_are_old() -> None:
    """Whoever uses them is notified if they have changed, and only then."""
    issuer, notified = Issuer(KEYS, KEYS, OTHER_KEYS), asyncio.Event()
    found = KeySets({}, issuer.fetch, scale=1e-5)
    await found.add([ADDRESS])
    with running(found, notified):
        await notified.wait()
    assert (issuer.asked, found.known[ADDRESS]) == (3, OTHER_KEYS)


async def test_what_cannot_be_fetched_is_tried_again_and_says_why() -> None:
    """Its tokens are refused until then; a success clears the reason."""
    issuer, notified = Issuer(KeySetError("no answer"), KeySetError("no answer"), KEYS), asyncio.Event()
    found = KeySets({}, issuer.fetch, scale=1e-3)
    assert not await found.add([ADDRESS])
    assert found.known == {}
    (row,) = key_sets_of(found.fetched)
    assert (row.jwks_uri, row.failures, row.HasField("fetch_time")) == (ADDRESS, 1, False)
    assert row.problem == "no answer; tokens of its issuer are refused"
    with running(found, notified):
        await notified.wait()
    (row,) = key_sets_of(found.fetched)
    assert (row.problem, row.failures, row.HasField("fetch_time")) == ("", 0, True)
    assert found.known == {ADDRESS: KEYS}


async def test_the_last_good_keys_are_kept() -> None:
    """However long their issuer is away; what is said then says that."""
    issuer = Issuer(KEYS, KeySetError("the answer has status 500"))
    found = KeySets({}, issuer.fetch, scale=1e-5)
    await found.add([ADDRESS])
    with running(found, asyncio.Event()):
        await issuer.wait(5)
    assert found.known == {ADDRESS: KEYS}
    assert key_sets_of(found.fetched)[0].problem == "the answer has status 500; those fetched last are still taken"


async def test_one_that_fails_keeps_no_other_from_being_fetched() -> None:
    """Each has its own pace: an issuer that is down for good is no reason to take another's old keys."""
    down, up, notified = "http://127.0.0.1:1/down", "http://127.0.0.1:1/up", asyncio.Event()
    issuers = {down: Issuer(KeySetError("no answer")), up: Issuer(KEYS, OTHER_KEYS)}
    found = KeySets({}, lambda address: issuers[address].fetch(address), scale=1e-5)
    assert await found.add([down, up])
    with running(found, notified):
        await notified.wait()
    assert found.known == {up: OTHER_KEYS}
    assert found.fetched[down].problem == "no answer"


async def test_what_is_wanted_later_is_kept_fresh_too() -> None:
    """By one that ran with nothing to fetch."""
    issuer, notified = Issuer(KEYS, OTHER_KEYS), asyncio.Event()
    found = KeySets({}, issuer.fetch, scale=1e-5)
    with running(found, notified):
        await asyncio.sleep(0)
        await found.add([ADDRESS])
        await notified.wait()
    assert found.known == {ADDRESS: OTHER_KEYS}


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("http://keys.shop.svc.cluster.local/jwks", True),
        ("https://keys.shop.svc:8443/jwks", True),
        ("http://own.svc.cluster.local/jwks", False),
        ("https://id.example.com/jwks", False),
        ("http://[::1]:8080/jwks", False),
    ],
)
def test_what_is_within_a_cluster_is_refused_by_name(address: str, refused: bool) -> None:  # noqa: FBT001 - a column
    """The runner is not there; its own set needs no fetching."""
    rule = f"{{issuer: id, jwksUri: '{address}'}}"
    head = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: id}"
    mesh = load({"case.yaml": f"{head}\nspec: {{jwtRules: [{rule}]}}\n"})
    if not refused:
        check_addresses(mesh, {"http://own.svc.cluster.local/jwks"})
        return
    with pytest.raises(ManifestError, match=r"case.yaml document 1 .*: spec.jwtRules\[0\].jwksUri: keys.* is within"):
        check_addresses(mesh, {"http://own.svc.cluster.local/jwks"})


# ---- one answer, by real HTTP ----


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/keys", None),
        ("/moved", None),
        ("/gone", "the answer has status 404"),
        ("/page", "the answer is no JSON Web Key Set"),
        ("/none", "the answer is no JSON Web Key Set"),
        ("/deep", "the answer is no JSON Web Key Set"),
        ("/bytes", "it cannot be fetched: 'utf-8' codec"),
        ("/long", f"the answer has more than {key_sets.MAX_BYTES} bytes"),
        ("/round", "it cannot be fetched: Exceeded maximum allowed redirects"),
    ],
)
async def test_an_answer(path: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key set, also behind a redirect, by no proxy on this machine; all else says what it is."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    answers = {
        "/keys": (200, KEYS.encode()),
        "/moved": (302, b"/keys"),
        "/gone": (404, b"no"),
        "/page": (200, b"<html>"),
        "/none": (200, b'{"keys": []}'),
        "/deep": (200, b"[" * 100_000),
        "/bytes": (200, b"\xff"),
        "/long": (200, b" " * (key_sets.MAX_BYTES + 1)),
        "/round": (302, b"/round"),
    }
    with serving(answers) as address:
        if expected is None:
            assert await fetch_key_set(address + path) == KEYS
        else:
            with pytest.raises(KeySetError, match=expected):
                await fetch_key_set(address + path)


async def test_nobody_there() -> None:
    """A port that nothing listens at."""
    with pytest.raises(KeySetError, match="it cannot be fetched: "):
        await fetch_key_set(ADDRESS)


async def test_outside_hosts_are_asked_by_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy is the caller's way to other machines."""
    outside = "http://id.example.com/keys"
    with serving({outside: (200, KEYS.encode())}) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        assert await fetch_key_set(outside) == KEYS


async def test_https_by_the_authorities_that_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of SSL_CERT_FILE; an unknown one signs for no issuer."""
    authority = Authority.open(tmp_path / "ca")
    identity = authority.issue_kafka("issuer", ips=["127.0.0.1"])
    chain, root = tmp_path / "chain.pem", tmp_path / "root.pem"
    chain.write_bytes(identity.key_pem + identity.chain_pem)
    root.write_bytes(authority.root_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    with serving({"/keys": (200, KEYS.encode())}, context) as address:
        with pytest.raises(KeySetError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch_key_set(f"{address}/keys")
        monkeypatch.setenv("SSL_CERT_FILE", str(root))
        assert await fetch_key_set(f"{address}/keys") == KEYS
