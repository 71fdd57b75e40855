"""Loopback addresses: a /24 of 127.0.0.0/8 for each home, one address for each pod, and the port of its ingress.

The home's path decides the network, so two homes do not collide and a home keeps its addresses over restarts. The
ingress alone is where people connect, so it is at 127.0.0.1, at a port that the home keeps.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path

from mesh.local.errors import LocalError, PortInUseError, disk_errors

REPLICAS = 16
"""Addresses kept for each Deployment: as many as RunnerService.Scale allows."""
INGRESS_IP = "127.0.0.1"
INGRESS_PORTS = range(8080, 8100)
"""Tried in this order by a home that has none yet."""


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


class IngressPort:
    """The port of 127.0.0.1 at which a home's ingress listens, held for as long as this object lives.

    A home keeps its port: HOME/run/ingress has the address, also while nothing runs. Two homes that start at once do
    not take the same one: whoever has bound the port's name in Linux's abstract namespace has it.
    """

    def __init__(self, home: Path, asked: str = "") -> None:
        """`asked`: the one port to take, as ROSTRUM_PORT has it. Raises PortInUseError, LocalError."""
        kept = ingress_of(home)
        if asked and not _is_port(asked):
            raise LocalError(f"ROSTRUM_PORT must be a port from 1 to 65535, not {asked!r}.")
        own = [int(kept.rpartition(":")[2])] if kept else []
        ports = [int(asked)] if asked else list(dict.fromkeys([*own, *INGRESS_PORTS]))
        taken: PortInUseError | None = None
        self._held = socket.socket(socket.AF_UNIX)
        for port in ports:
            try:
                self._hold(port)
            except PortInUseError as error:
                taken = taken or error
                continue
            self.number = port
            new = home / "run" / "ingress.new"
            with disk_errors(new):
                new.write_text(f"{INGRESS_IP}:{port}\n", encoding="utf-8")
                new.replace(home / "run" / "ingress")
            return
        self._held.close()
        assert taken is not None  # noqa: S101 - one port at least was tried
        raise taken

    def _hold(self, port: int) -> None:
        check_free(INGRESS_IP, [port], "the ingress")
        try:
            self._held.bind(f"\0rostrum-ingress-{port}")
        except OSError as error:
            raise PortInUseError(
                f"Another Rostrum starts at {INGRESS_IP}:{port}: end it (`rostrum down` there) or set ROSTRUM_PORT"
            ) from error

    def close(self) -> None:
        """Lets others have it."""
        self._held.close()


def ingress_of(home: Path) -> str:
    """ "{ip}:{port}" of the home's ingress; empty if it was never started, or if its file is damaged."""
    try:
        ip, _, port = (home / "run" / "ingress").read_text(encoding="ascii").strip().rpartition(":")
    except (OSError, UnicodeError):
        return ""
    return f"{ip}:{port}" if ip == INGRESS_IP and _is_port(port) else ""


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65_536
