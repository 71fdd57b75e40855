"""How a service's settings say where Kafka is and how to reach it, and what it says where they are wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.bus.kafka_python import errors as kafka_errors
from mesh.bus.reachable import REFUSED_BACKOFF, wait_reachable
from mesh.bus.refusals import missing_right
from mesh.local.identities import CertificateRequest, open_authority, write
from mesh.service import ServiceSettings
from mesh.settings import SettingsError, load

ENVIRON = {
    "SERVICE_NAME": "team-a",
    "POD_NAME": "team-a-0",
    "LISTEN_ADDRESS": "127.0.0.1:50051",
    "DATABASE_URL": "sqlite:///x.db",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "MODEL": "embedded",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(open_authority(tmp_path / "ca"), CertificateRequest(tmp_path / "team-a", kafka_user="team-a"))
    return tmp_path / "team-a"


def test_a_folder_that_is_not_whole_is_a_fault_of_the_settings(folder: Path) -> None:
    """Said at the start, with the file that is missing; a folder that is whole is taken."""
    environ = {**ENVIRON, "KAFKA_TLS_FOLDER": str(folder)}
    assert load(ServiceSettings, environ).kafka_tls == TlsFiles.in_folder(folder)
    (folder / "key.pem").unlink()
    with pytest.raises(SettingsError, match=r"KAFKA_TLS_FOLDER .*key\.pem: No such file"):
        load(ServiceSettings, environ)
    assert load(ServiceSettings, ENVIRON).kafka_tls is None


def test_clients_check_the_broker_and_show_their_certificate(folder: Path) -> None:
    """With TLS: all of it, the broker's name included. Without: nothing of it."""
    settings = KafkaAccess("a:1,b:2", TlsFiles.in_folder(folder)).client_settings()
    assert settings == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SSL",
        "ssl_check_hostname": True,
        "ssl_cafile": str(folder / "root.pem"),
        "ssl_keyfile": str(folder / "key.pem"),
        "ssl_certfile": str(folder / "chain.pem"),
    }
    assert KafkaAccess("a:1").client_settings() == {"bootstrap_servers": ["a:1"]}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (kafka_errors.TopicAuthorizationFailedError("t"), "me has no right to topic t: its KafkaUser needs Write"),
        (kafka_errors.GroupAuthorizationFailedError("g"), "me has no right to consumer group g: its KafkaUser needs"),
    ],
)
def test_a_missing_right_is_named(error: Exception, said: str) -> None:
    """Who, what, which right."""
    assert (missing_right(error, "me", "Write", "t", "g") or "").startswith(said)


def test_other_errors_are_no_missing_right() -> None:
    """They are reported as they are."""
    assert missing_right(kafka_errors.KafkaTimeoutError(), "me", "Write", "t", "g") is None


def test_files_that_do_not_fit_are_named(folder: Path) -> None:
    """Whoever waits for the broker is notified of faults in our own files, and asks less often than for a start."""
    reasons: list[tuple[float, str]] = []

    def wait(seconds: float, why: str) -> bool:
        reasons.append((seconds, why))
        return True

    (folder / "..data" / "chain.pem").write_text("nonsense")
    with socket.create_server(("127.0.0.1", 0)) as server:
        access = KafkaAccess(f"127.0.0.1:{server.getsockname()[1]}", TlsFiles.in_folder(folder))
        assert not wait_reachable(access, wait)
    ((seconds, why),) = reasons
    assert seconds == REFUSED_BACKOFF.first_seconds
    assert "chain.pem fails" in why
