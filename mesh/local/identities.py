"""The certificate files of pods: written to each pod's own folder, and renewed at half-life while the runner lives.

A folder holds key.pem, chain.pem, root.pem and keystore.pem (key and chain in one, as Kafka's broker wants them), mode
0600. All four change in one rename, as kubelet changes a mounted secret: the files are links to `..data/`, itself a
link to a folder that is never written again. So nobody reads a key with another's certificate for longer than it takes
to open two files, and Envoy (watched_directory) and Kafka's clients take new ones without a restart.
`add` is called for each pod before it starts, and `remove` once it is gone. Signing is mesh.local.certificates'.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.local.certificates import LEAF_LIFETIME, Authority, Identity, write_private
from mesh.local.errors import disk_errors
from mesh.retries import Backoff, Retries, describe_error

log = logging.getLogger(__name__)

POLL_INTERVAL_SECONDS = 30.0
"""Longest rest between looks at the clock: a sleeping machine's timers stand still, and its certificates age."""
BACKOFF = Backoff(1.0, 60.0)
"""After a renewal that failed, such as for want of room; half of the certificate's life is left for it."""
KAFKA_BROKER = "kafka"
"""Kafka's name for the broker itself, and its DNS name."""
KAFKA_RUNNER = "rostrum-runner"
"""Kafka's name for the runner, which makes topics and rights."""


@dataclass(frozen=True)
class CertificateRequest:
    """One folder of files, and whose: exactly one of `spiffe_id` (a sidecar) and `kafka_user` is set."""

    folder: Path
    spiffe_id: str = ""
    kafka_user: str = ""
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    renewed: Callable[[], Awaitable[None]] | None = None
    """Called once the files are new, and again until it does not raise LocalError; the first files are not renewed."""

    def _issue(self, authority: Authority, lifetime: dt.timedelta, now: dt.datetime) -> Identity:
        """A new key and certificate. Raises CertificateError."""
        if self.kafka_user:
            return authority.issue_kafka(self.kafka_user, lifetime, dns=self.dns, ips=self.ips, now=now)
        return authority.issue(self.spiffe_id, lifetime, dns=self.dns, ips=self.ips, now=now)


@dataclass(frozen=True)
class Clock:
    """The time, in UTC, and a rest of some seconds."""

    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def broker_identity(folder: Path, ip: str, renewed: Callable[[], Awaitable[None]] | None = None) -> CertificateRequest:
    """The broker's own, which its clients find at this address."""
    return CertificateRequest(folder, kafka_user=KAFKA_BROKER, dns=(KAFKA_BROKER,), ips=(ip,), renewed=renewed)


def runner_folder(home: Path) -> Path:
    """Where the runner of this home keeps its own certificate for Kafka."""
    return home / "run" / KAFKA_RUNNER


def runner_identity(folder: Path) -> CertificateRequest:
    """Of whoever makes topics and rights."""
    return CertificateRequest(folder, kafka_user=KAFKA_RUNNER)


def open_authority(folder: Path) -> Authority:
    """The authority of a home, made if there is none. Raises CertificateError, LocalError, DiskFullError."""
    with disk_errors(folder):
        return Authority.open(folder)


class Identities:
    """Keeps the files of all pods. Made and used on the event loop."""

    def __init__(
        self, authority: Authority, *, lifetime: dt.timedelta = LEAF_LIFETIME, clock: Clock | None = None
    ) -> None:
        self._authority, self._lifetime, self._clock = authority, lifetime, clock or Clock()
        self._tasks: dict[Path, asyncio.Task[None]] = {}

    def add(self, request: CertificateRequest) -> None:
        """Writes the files at once and renews them from now on. Raises CertificateError, LocalError, DiskFullError."""
        if request.folder not in self._tasks:
            first = write(self._authority, request, self._lifetime, self._clock.now())
            self._tasks[request.folder] = asyncio.get_running_loop().create_task(self._keep(request, first))

    async def remove(self, folder: Path) -> None:
        """Renews no more, and removes the files. Nothing happens if there are none."""
        task = self._tasks.pop(folder, None)
        if task is not None:
            await _cancel(task)
        shutil.rmtree(folder, ignore_errors=True)

    async def stop(self) -> None:
        """Renews no more; the files stay. Idempotent."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            await _cancel(task)

    async def _keep(self, request: CertificateRequest, identity: Identity) -> None:
        retries = Retries(f"certificate in {request.folder}", BACKOFF)
        while True:
            left = (identity.renewal_time - self._clock.now()).total_seconds()
            if left > 0:
                await self._clock.sleep(min(left, POLL_INTERVAL_SECONDS))
                continue
            try:
                identity = write(self._authority, request, self._lifetime, self._clock.now())
            except Exception as error:  # noqa: BLE001 - a task that ended would let the certificate expire, unnoticed
                log.warning("the certificate in %s is not renewed yet: %s", request.folder, describe_error(error))
                await self._clock.sleep(retries.note_failure(describe_error(error)))
                continue
            retries.note_success()
            await self._notify(request)

    async def _notify(self, request: CertificateRequest) -> None:
        retries = Retries(f"certificate in {request.folder}", BACKOFF)
        while request.renewed is not None:
            try:
                await request.renewed()
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("the new certificate in %s is not in use yet: %s", request.folder, describe_error(error))
                await self._clock.sleep(retries.note_failure(describe_error(error)))
            else:
                return


def write(
    authority: Authority,
    request: CertificateRequest,
    lifetime: dt.timedelta = LEAF_LIFETIME,
    now: dt.datetime | None = None,
) -> Identity:
    """Writes new files, once. Raises CertificateError, LocalError, DiskFullError."""
    identity = request._issue(authority, lifetime, now or dt.datetime.now(dt.UTC))
    with disk_errors(request.folder):
        replace_all(
            request.folder,
            {
                "key.pem": identity.key_pem,
                "chain.pem": identity.chain_pem,
                "keystore.pem": identity.key_pem + identity.chain_pem,
                "root.pem": authority.root_pem,
            },
        )
    return identity


def replace_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes these files, 0600, in a folder, 0700; those that read see all old or all new. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    data = folder / "..data"
    old = data.resolve() if data.is_symlink() else None
    new = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    try:
        for name, content in files.items():
            write_private(new / name, content)
        for name in files:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        link = folder / "..data_new"
        link.unlink(missing_ok=True)
        link.symlink_to(new.name)
        link.replace(data)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if old is not None and old.parent == folder.resolve():
        shutil.rmtree(old, ignore_errors=True)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
