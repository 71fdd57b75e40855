"""The certificate files of pods: written whole, private, and renewed at half-life by the clock that is given."""

from __future__ import annotations

import asyncio
import datetime as dt
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mesh.local import identities
from mesh.local.certificates import Authority
from mesh.local.errors import CertificateError, LocalError
from mesh.local.identities import (
    CertificateRequest,
    Clock,
    Identities,
    broker_identity,
    open_authority,
    replace_all,
    write,
)

HOUR = dt.timedelta(hours=1)
pytestmark = pytest.mark.timeout(10)

TEAM_A = "spiffe://cluster.local/ns/rostrum/sa/team-a"


class FakeTime:
    """A clock that stands still until `pass_by` says how late it is."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
        self.rests: list[float] = []
        self._moved = asyncio.Event()
        self._resting = asyncio.Event()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self._resting.set()
        self._moved.clear()
        await self._moved.wait()

    async def until_rest(self) -> None:
        """Returns once the keeper rests."""
        await self._resting.wait()
        self._resting.clear()

    async def pass_by(self, time: dt.timedelta) -> None:
        """Moves on, and returns once the keeper rests again."""
        self.now += time
        self._resting.clear()
        self._moved.set()
        await self.until_rest()


def serial(folder: Path) -> int:
    return x509.load_pem_x509_certificate((folder / "chain.pem").read_bytes()).serial_number


@pytest.fixture
async def time() -> FakeTime:
    """Made within the loop whose events it has."""
    return FakeTime()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "ca")


def test_files_of_a_pod(authority: Authority, tmp_path: Path) -> None:
    """Key and certificate fit each other, keystore.pem holds both, and nobody else can read them."""
    folder = tmp_path / "pod"
    write(authority, CertificateRequest(folder, spiffe_id=TEAM_A))
    certificate = x509.load_pem_x509_certificate((folder / "chain.pem").read_bytes())
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    assert (folder / "root.pem").read_bytes() == authority.root_pem
    assert (folder / "keystore.pem").read_bytes() == (folder / "key.pem").read_bytes() + (
        folder / "chain.pem"
    ).read_bytes()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("key.pem", "keystore.pem")} == {0o600}
    assert not [path for path in folder.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()
                and path.stat().st_mode & 0o077]  # fmt: skip


async def test_a_pod_is_renewed_at_half_life(time: FakeTime, authority: Authority, tmp_path: Path) -> None:
    """Not before; then with new files, again and again."""
    folder = tmp_path / "pod"

    kept = Identities(authority, lifetime=4 * HOUR, clock=time.clock)
    kept.add(CertificateRequest(folder, spiffe_id=TEAM_A))
    await time.until_rest()
    seen = [serial(folder)]
    await time.pass_by(2 * HOUR - dt.timedelta(seconds=1))
    assert serial(folder) == seen[0]
    for _ in range(3):
        await time.pass_by(2 * HOUR)
        seen.append(serial(folder))
    assert len(set(seen)) == 4
    assert len(list(folder.glob("..*"))) == 2  # ..data and the folder it names: nothing is left behind
    await kept.stop()


async def test_a_machine_that_slept_renews_at_once(time: FakeTime, authority: Authority, tmp_path: Path) -> None:
    """The keeper looks at the clock often, since timers stand still while a machine sleeps."""
    folder = tmp_path / "pod"

    kept = Identities(authority, clock=time.clock)
    kept.add(CertificateRequest(folder, spiffe_id=TEAM_A))
    await time.until_rest()
    assert max(time.rests) <= identities.POLL_INTERVAL_SECONDS
    first = serial(folder)
    await time.pass_by(20 * HOUR)
    assert serial(folder) != first
    await kept.stop()


async def test_a_disk_without_room_is_tried_again(
    time: FakeTime, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old certificate stays until a new one could be written."""
    folder = tmp_path / "pod"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    kept = Identities(authority, lifetime=4 * HOUR, clock=time.clock)
    kept.add(CertificateRequest(folder, spiffe_id=TEAM_A))
    await time.until_rest()
    first = serial(folder)
    with monkeypatch.context() as patch:
        patch.setattr(identities, "write_private", full)
        await time.pass_by(2 * HOUR)
        assert serial(folder) == first
        assert time.rests[-1] == identities.BACKOFF.first_seconds
    await time.pass_by(dt.timedelta(seconds=1))
    assert serial(folder) != first
    await kept.stop()


async def test_who_must_be_notified_is_notified_until_it_works(
    time: FakeTime, authority: Authority, tmp_path: Path
) -> None:
    """A broker that does not take its new certificate is asked again; other pods do not wait for it."""
    notified: list[int] = []
    folder = tmp_path / "broker"

    async def renewed() -> None:
        notified.append(serial(folder))
        if len(notified) < 3:
            raise LocalError("no broker answers")

    kept = Identities(authority, lifetime=4 * HOUR, clock=time.clock)
    kept.add(broker_identity(folder, "127.0.0.9", renewed))
    await time.until_rest()
    assert notified == []
    await time.pass_by(2 * HOUR)
    await time.pass_by(dt.timedelta(seconds=1))
    await time.pass_by(dt.timedelta(seconds=1))
    assert notified == [serial(folder)] * 3
    await kept.stop()


async def test_a_pod_that_is_gone_leaves_no_key(time: FakeTime, authority: Authority, tmp_path: Path) -> None:
    """Its folder is removed; `stop` leaves the files of those that go on."""
    kept = Identities(authority, clock=time.clock)
    kept.add(CertificateRequest(tmp_path / "gone", spiffe_id=TEAM_A))
    kept.add(CertificateRequest(tmp_path / "stays", spiffe_id=TEAM_A))
    await kept.remove(tmp_path / "gone")
    await kept.remove(tmp_path / "never")
    await kept.stop()
    assert not (tmp_path / "gone").exists()
    assert (tmp_path / "stays" / "key.pem").is_file()


def test_readers_see_old_or_new(tmp_path: Path) -> None:
    """All files change in one step: whoever opens the folder's data sees one generation."""
    folder = tmp_path / "pod"
    replace_all(folder, {"a": b"1", "b": b"1"})
    opened = (folder / "..data").resolve()
    replace_all(folder, {"a": b"2", "b": b"2"})
    assert ((folder / "a").read_bytes(), (folder / "b").read_bytes()) == (b"2", b"2")
    assert not opened.exists()


def test_an_authority_that_is_broken_stops_the_start(tmp_path: Path) -> None:
    """One line that says what to do."""
    open_authority(tmp_path / "ca")
    (tmp_path / "ca" / "key.pem").chmod(0o644)
    with pytest.raises(CertificateError, match=r"remove .*ca and start again"):
        open_authority(tmp_path / "ca")
