"""Addresses, marks of processes and the lock of Kafka's jars."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from mesh.local import kafka_jars
from mesh.local.addresses import Addresses, check_free
from mesh.local.errors import PortInUseError
from mesh.local.processes import Mark


def test_homes_have_networks_of_their_own() -> None:
    """Two homes do not share an address; one home keeps its own."""
    one, again, other = (Addresses(Path(home)) for home in ("/a", "/a", "/b"))
    assert one.pod("team-a", 0) == again.pod("team-a", 0)
    assert {one.broker, one.pod("team-a", 0)}.isdisjoint({other.broker, other.pod("team-a", 0)})


def test_port_in_use_is_named() -> None:
    """A taken address is reported with who needs it and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"127.0.0.1:{port} is in use, and team-a-0 needs it"):
            check_free("127.0.0.1", [port], "team-a-0")


def test_stranger_with_the_same_pid_is_left_alone() -> None:
    """A stale mark never signals the process that has its pid now."""
    assert not Mark(os.getpid(), 1).signal(signal.SIGKILL)


def test_changed_jar_is_wrong(tmp_path: Path) -> None:
    """Each jar is held to the lock's SHA-256; missing and altered ones are both found."""
    jars = kafka_jars.locked()
    assert len(jars) == 45
    (tmp_path / jars[0].file_name).write_bytes(b"not the jar")
    assert kafka_jars.wrong_jars(tmp_path, jars) == list(jars)
