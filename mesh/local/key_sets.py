"""The keys of token issuers: fetched from the jwksUri that a RequestAuthentication names, and kept fresh.

Owns the fetching, its pace, the last good keys, and what is said of an issuer whose keys cannot be had: its tokens are
refused meanwhile. The home's own set is one among them, which needs no fetching. What a key set does is for
`mesh.sidecar.security`. On a cluster istiod does all of this. Called by mesh.local.system.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from mesh.llm.http_client import open_client
from mesh.local.changes import Changes
from mesh.manifests.istio.request_authentication import RequestAuthenticationSpec
from mesh.retries import Backoff
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.security.request_authentication import is_key_set

log = logging.getLogger(__name__)

FETCH_SECONDS = 5.0
"""Longest wait for one answer, as istiod's: an `apply` that names new keys waits for them no longer."""
REFRESH_SECONDS = 20 * 60.0
"""Between two fetches of keys that are there, as istiod's PILOT_JWT_PUB_KEY_REFRESH_INTERVAL."""
BACKOFF = Backoff(1.0, 60.0)
"""Between two tries of what fails: one a minute is no load for an issuer that is down."""
MAX_BYTES = 1024 * 1024
"""Of a key set: an issuer has some dozen keys of about a kilobyte."""
_WITHIN = (".svc", ".svc.cluster.local")


class KeySetError(Exception):
    """Why a key set could not be had, in one line."""


@dataclass
class KeySet:
    """What is known of one jwksUri. `failures` are those since keys were had last."""

    text: str = ""
    problem: str = ""
    failures: int = 0
    fetched_at: float = 0.0
    """Seconds since the epoch; 0 if never."""
    due: float | None = None
    """By the event loop's clock; None while it is fetched for the first time."""


async def fetch_key_set(address: str) -> str:
    """Returns the JSON Web Key Set of an address: by the proxy of the environment if it is not this machine's.

    Raises KeySetError.
    """
    try:
        async with asyncio.timeout(FETCH_SECONDS), open_client(address) as client:
            text = (await _read_body(client, address)).decode()
    except TimeoutError as error:
        raise KeySetError(f"no answer within {FETCH_SECONDS:g} s") from error
    except (httpx2.HTTPError, ValueError, OSError) as error:
        raise KeySetError(f"it cannot be fetched: {' '.join(str(error).split()) or type(error).__name__}") from error
    if not is_key_set(text):
        raise KeySetError('the answer is no JSON Web Key Set ({"keys": [...]})')
    return text


async def _read_body(client: httpx2.AsyncClient, address: str) -> bytes:
    async with client.stream("GET", address, follow_redirects=True) as response:
        if response.status_code != httpx2.codes.OK:
            raise KeySetError(f"the answer has status {response.status_code}")
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise KeySetError(f"the answer has more than {MAX_BYTES} bytes")
        return body


class KeySets:
    """All of one home, on one event loop. `known` is what a translation takes: it grows as keys are had."""

    def __init__(
        self, own: Mapping[str, str], fetch: Callable[[str], Awaitable[str]] = fetch_key_set, *, scale: float = 1.0
    ) -> None:
        """`own` are sets that are not fetched, by jwksUri. `scale` shortens every pause, for tests."""
        self.known: dict[str, str] = dict(own)
        self._own, self._fetch, self._scale = frozenset(own), fetch, scale
        self._sets: dict[str, KeySet] = {}
        self._wanted_more = Changes()

    @property
    def fetched(self) -> Mapping[str, KeySet]:
        """What is known of each that is fetched, by jwksUri."""
        return dict(sorted(self._sets.items()))

    async def add(self, addresses: Iterable[str]) -> bool:
        """Fetches those that were never asked for, once each and at the same time. Says whether there are new keys."""
        new = {address: KeySet() for address in set(addresses) - self._own - self._sets.keys()}
        self._sets.update(new)
        is_new = await asyncio.gather(*(self._renew(address, found) for address, found in new.items()))
        if new:
            self._wanted_more.notify()
        return any(is_new)

    def keep(self, addresses: Iterable[str]) -> None:
        """Forgets all that none of these is."""
        for address in self._sets.keys() - set(addresses):
            del self._sets[address]
            self.known.pop(address, None)

    async def run(self, notify: Callable[[], Awaitable[None]]) -> None:
        """Fetches each again when it is due, until it is cancelled; `notify` is called when keys have changed."""
        loop = asyncio.get_running_loop()
        while True:
            times = [found.due for found in self._sets.values() if found.due is not None]
            try:
                async with asyncio.timeout_at(min(times, default=None)):
                    await self._wanted_more.wait()
            except TimeoutError:
                now = loop.time()
                late = [(address, found) for address, found in self._sets.items() if (found.due or now + 1) <= now]
                if any(await asyncio.gather(*(self._renew(address, found) for address, found in late))):
                    await notify()

    async def _renew(self, address: str, found: KeySet) -> bool:
        """Fetches one, and says whether its keys have changed. The last good ones are kept if it fails."""
        now = asyncio.get_running_loop().time
        try:
            text = await self._fetch(address)
        except KeySetError as error:
            found.problem, found.failures = str(error), found.failures + 1
            found.due = now() + BACKOFF.wait_seconds(found.failures) * self._scale
            log.warning("the keys of %s: %s; %s", address, error, describe_effect(found))
            return False
        if found.problem:
            log.info("the keys of %s were fetched after %d failures", address, found.failures)
        is_new = text != found.text
        found.text, found.problem, found.failures, found.fetched_at = text, "", 0, time.time()
        found.due = now() + REFRESH_SECONDS * self._scale
        if self._sets.get(address) is not found:  # nobody wants it any more
            return False
        self.known[address] = text
        return is_new


def describe_effect(found: KeySet) -> str:
    """What it means that keys cannot be fetched."""
    return "those fetched last are still taken" if found.text else "tokens of its issuer are refused"


def list_addresses(mesh: Mesh) -> set[str]:
    """Every jwksUri of a mesh."""
    resources = mesh.all(RequestAuthenticationSpec)
    return {rule.jwks_uri for resource in resources for rule in resource.spec.jwt_rules if rule.jwks_uri}


def check_addresses(mesh: Mesh, own: Iterable[str]) -> None:
    """Raises ManifestError for a jwksUri that the runner cannot reach, since it is within a cluster."""
    for resource in mesh.all(RequestAuthenticationSpec):
        for number, rule in enumerate(resource.spec.jwt_rules):
            host = (urlsplit(rule.jwks_uri).hostname or "").removesuffix(".")
            if rule.jwks_uri not in own and host.endswith(_WITHIN):
                what = f"{host} is within a cluster, and here keys are fetched from outside of it: write jwks, or an "
                raise resource.refuse(f"jwtRules[{number}].jwksUri", f"{what}address of this machine or the internet")
