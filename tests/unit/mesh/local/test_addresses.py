"""Where a home's ingress and its pods' sockets are."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mesh.local.addresses import IngressPort, ingress_of
from mesh.local.envoy import Envoy
from mesh.local.errors import LocalError, PortInUseError
from mesh.local.folders import PodFolder
from mesh.local.pods import PodSpec


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


def test_a_home_keeps_its_ingress(home: Path) -> None:
    """The port that a home had is taken again, and is known while nothing runs."""
    asked = _free_port()
    IngressPort(home, str(asked)).close()
    assert ingress_of(home) == f"127.0.0.1:{asked}"
    again = IngressPort(home)
    assert again.number == asked
    again.close()


def test_two_homes_have_two_ingresses(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What one home holds, even if nothing listens there yet, no other one takes."""
    other = tmp_path_factory.mktemp("other")
    (other / "run").mkdir()
    mine, theirs = IngressPort(home), IngressPort(other)
    assert mine.number != theirs.number
    with pytest.raises(PortInUseError, match=f"127.0.0.1:{mine.number}"):
        IngressPort(other, str(mine.number))
    mine.close()
    theirs.close()


@pytest.mark.parametrize("asked", ["x", "0", "70000", "8080 ", "²"])
def test_a_port_that_is_none_is_refused(home: Path, asked: str) -> None:
    """ROSTRUM_PORT must be a port."""
    with pytest.raises(LocalError, match="ROSTRUM_PORT must be a port"):
        IngressPort(home, asked)


def test_a_pods_folder_is_the_owners_alone(tmp_path: Path) -> None:
    """Only the owner enters it or any folder in it; what an earlier run left is gone; and it can be removed."""
    folder = PodFolder(tmp_path, "team-a-0")
    (folder.path / "app" / "old.sock").touch()
    folder.close()
    folder = PodFolder(tmp_path, "team-a-0")
    inside = [folder.path, *(path for path in folder.path.rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in inside} == {0o700}
    assert [path for path in folder.path.rglob("*") if not path.is_dir()] == []
    folder.close()
    assert not folder.path.exists()


def test_a_socket_has_a_short_path_however_long_the_homes_is(tmp_path: Path) -> None:
    """A socket is listened at by a path of at most 107 bytes, which leads into the folder."""
    home = tmp_path / ("long" * 30)
    folder = PodFolder(home, "team-a-0")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(folder.app_socket(50051))
    assert len(os.fsencode(folder.app_socket(50051))) < 107
    assert (folder.path / "app" / "50051.sock").is_socket()
    folder.close()


def test_an_envoy_that_may_not_watch_files_says_what_to_do(tmp_path: Path) -> None:
    """It dies where this user's inotify instances are all taken: the start fails with a line that helps."""
    log = tmp_path / "team-a-0.envoy.log"
    spec = PodSpec("team-a", 0, "127.0.0.1", (50051,), (), {}, tmp_path, log)
    envoy = Envoy(spec, PodFolder(tmp_path, "team-a-0"), log)
    log.write_text(
        "assert failure: inotify_fd_ >= 0. Details: Consider increasing fs.inotify.max_user_instances\n", "utf-8"
    )
    assert envoy.lacks() == ""
    envoy.process.restarts = 1
    assert "`sudo sysctl fs.inotify.max_user_instances=1024`" in envoy.lacks()
    envoy.folder.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe:80", b"127.0.0.1:", b"127.0.0.1:0", b"127.0.0.1:99999", b"10.0.0.1:8080", b"[::1]:80", b"x" * 99],
)
def test_a_damaged_file_of_the_ingress_is_none(content: bytes, tmp_path: Path) -> None:
    """A home whose file is not what was written there takes a port again, and sends no token to another machine."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ingress").write_bytes(content)
    assert ingress_of(tmp_path) == ""
    port = IngressPort(tmp_path)
    try:
        assert ingress_of(tmp_path) == f"127.0.0.1:{port.number}"
    finally:
        port.close()
