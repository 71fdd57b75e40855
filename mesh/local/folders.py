"""A pod's own folder, HOME/run/pods/POD: the sockets of app and sidecar, its certificates, the sidecar's configuration.

Only the owner may enter it (0700), and nobody else may reach an app than through its sidecar: no app listens anywhere
else. A socket's path has at most 107 bytes and homes are long, so an app gets the folder as a file descriptor and names
its sockets by it; the Envoy has the folder as its working folder and relative paths. Made by the runner, once a pod.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mesh.local.errors import LocalError, disk_errors

PARTS = ("app", "out", "routes", "secrets")
ADMIN = "admin.sock"


class PodFolder:
    """The folder of one pod, open until `close`."""

    def __init__(self, home: Path, pod: str) -> None:
        """Made again: what an earlier run left in it is gone. Raises LocalError."""
        self.path = home / "run" / "pods" / pod
        with disk_errors(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(mode=0o700)
            for part in PARTS:
                (self.path / part).mkdir(mode=0o700)
            self.descriptor = os.open(self.path, os.O_PATH | os.O_DIRECTORY)

    @property
    def certificates(self) -> Path:
        """Where key.pem, chain.pem and root.pem of the sidecar are."""
        return self.path / "certificates"

    @property
    def kafka_certificates(self) -> Path:
        """Where those of the app are, if it has any for Kafka."""
        return self.path / "kafka"

    @property
    def short(self) -> str:
        """The folder by its descriptor: for this process, and for a child that inherits it under its number."""
        return f"/proc/self/fd/{self.descriptor}"

    def app_socket(self, port: int) -> str:
        """Where the app listens in the place of this port, by the descriptor."""
        return f"{self.short}/{app_socket(port)}"

    @property
    def admin_socket(self) -> str:
        """Where the Envoy is administered, by the descriptor."""
        return f"{self.short}/{ADMIN}"

    def close(self) -> None:
        """Removes it all. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            shutil.rmtree(self.path, ignore_errors=True)


def absolute_path(name: str) -> Path:
    """Returns a caller's path from the root on. Raises LocalError if it is not, and the working folder is gone."""
    try:
        return Path(name).absolute()
    except FileNotFoundError as error:
        raise LocalError("The working folder does not exist any more: change to one that does (`cd`).") from error


def remove_all(home: Path) -> None:
    """Removes the folders that an earlier run left."""
    shutil.rmtree(home / "run" / "pods", ignore_errors=True)


def app_socket(port: int) -> str:
    """Where the app listens in the place of this port, relative to the folder."""
    return f"app/{port}.sock"


def outbound_socket(port: int) -> str:
    """Where the app finds this port of every host, relative to the folder: what mesh.rpc.channels dials."""
    return f"out/{port}.sock"
