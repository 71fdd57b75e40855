"""Loopback addresses: a /24 of 127.0.0.0/8 for each home, one address for each pod, and the hosts file that names them.

The home's path decides the network, so two homes do not collide and a home keeps its addresses over restarts.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from mesh.local.errors import LocalError, PortInUseError, disk_errors

REPLICAS = 16
"""Addresses kept for each Deployment: as many as RunnerService.Scale allows."""


class Addresses:
    """The addresses of one home."""

    def __init__(self, home: Path) -> None:
        digest = hashlib.sha256(str(home).encode()).digest()
        self._network = f"127.{10 + digest[0] % 190}.{digest[1]}"
        self._blocks: list[str] = []

    @property
    def broker(self) -> str:
        """The broker's address."""
        return f"{self._network}.2"

    def pod(self, deployment: str, replica: int) -> str:
        """The address of a pod. Deployments must be asked for in the same order to get the same addresses."""
        if deployment not in self._blocks:
            self._blocks.append(deployment)
        number = 10 + self._blocks.index(deployment) * REPLICAS + replica
        if number > 254:
            raise LocalError("More than 15 Deployments do not fit on one machine: leave some out.")
        return f"{self._network}.{number}"


def check_free(ip: str, ports: Sequence[int], pod: str) -> None:
    """Raises PortInUseError if the pod could not listen there."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ip, port))
            except OSError as error:
                raise PortInUseError(
                    f"{ip}:{port} is in use, and {pod} needs it: end what listens there (`ss -ltn`) or use another home"
                ) from error


def write_hosts(path: Path, names: Mapping[str, Sequence[str]]) -> None:
    """Writes an /etc/hosts-style file, at once for its readers: a name has one line an address."""
    lines = [f"{ip} {name}\n" for name, ips in names.items() for ip in ips]
    new = path.with_suffix(".new")
    with disk_errors(path.parent):
        new.write_text("".join(lines), encoding="utf-8")
        new.replace(path)
