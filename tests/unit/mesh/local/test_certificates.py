"""The local authority: what its leaves say, how long, and who can read its key."""

from __future__ import annotations

import datetime as dt
import re
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.local import tokens
from mesh.local.certificates import AUTHORITY_LIFETIME, Authority, write_private
from mesh.local.errors import CertificateError, LocalError
from mesh.local.identities import Identities
from mesh.local.kafka import Kafka
from mesh.local.manifests import Manifests

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
TEAM_A = "spiffe://cluster.local/ns/rostrum/sa/team-a"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "ca", now=NOW)


def leaf(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_workload_is_named_by_its_spiffe_id_alone(authority: Authority) -> None:
    """As istiod's: empty subject, one critical URI."""
    certificate = leaf(authority.issue(TEAM_A, now=NOW).chain_pem)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(certificate.subject) == []
    assert found.critical
    assert list(found.value) == [x509.UniformResourceIdentifier(TEAM_A)]


def test_a_kafka_user_is_named_by_its_subject(authority: Authority) -> None:
    """As Strimzi's: CN is the KafkaUser. It has no SPIFFE ID, so no sidecar takes it for a workload."""
    certificate = leaf(authority.issue_kafka("team-a", now=NOW).chain_pem)
    assert certificate.subject.rfc4514_string() == "CN=team-a"
    with pytest.raises(x509.ExtensionNotFound):
        names(certificate)


def test_a_broker_is_named_as_it_is_dialed(authority: Authority) -> None:
    """Its addresses are in the certificate, so clients check them."""
    certificate = leaf(authority.issue_kafka("kafka", dns=["kafka"], ips=["127.0.0.9"]).chain_pem)
    assert names(certificate).get_values_for_type(x509.DNSName) == ["kafka"]
    assert [str(address) for address in names(certificate).get_values_for_type(x509.IPAddress)] == ["127.0.0.9"]


@pytest.mark.parametrize("kafka", [False, True])
def test_what_a_leaf_may_be_used_for(authority: Authority, *, kafka: bool) -> None:
    """Both ends of TLS and nothing else; above all, it signs no certificate."""
    identity = authority.issue_kafka("team-a") if kafka else authority.issue(TEAM_A)
    extensions = leaf(identity.chain_pem).extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }


def test_a_leaf_is_signed_by_the_root(authority: Authority) -> None:
    """Whoever trusts root_pem trusts it; another authority's root does not vouch for it."""
    root = leaf(authority.root_pem)
    leaf(authority.issue(TEAM_A).chain_pem).verify_directly_issued_by(root)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert root.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_lifetime_and_renewal(authority: Authority) -> None:
    """24 h unless said otherwise; it is to be renewed at half-life."""
    day = authority.issue(TEAM_A, now=NOW)
    assert (day.not_before, day.renewal_time, day.not_after) == (
        NOW,
        NOW + dt.timedelta(hours=12),
        NOW + dt.timedelta(hours=24),
    )
    short = authority.issue(TEAM_A, dt.timedelta(seconds=4), now=NOW)
    certificate = leaf(short.chain_pem)
    assert certificate.not_valid_after_utc == short.not_after == NOW + dt.timedelta(seconds=4)
    assert short.renewal_time == NOW + dt.timedelta(seconds=2)


def test_a_certificate_holds_before_it_is_issued(authority: Authority) -> None:
    """Two minutes, leaf and root alike, so that a clock which is behind refuses neither."""
    for pem in (authority.issue(TEAM_A, now=NOW).chain_pem, authority.root_pem):
        assert leaf(pem).not_valid_before_utc == NOW - dt.timedelta(minutes=2)


def test_a_leaf_does_not_outlive_its_authority(authority: Authority) -> None:
    """It ends with the root at the latest."""
    late = NOW + AUTHORITY_LIFETIME - dt.timedelta(hours=1)
    assert authority.issue(TEAM_A, now=late).not_after == NOW + AUTHORITY_LIFETIME


def test_each_leaf_has_its_own_key(authority: Authority) -> None:
    """A renewed certificate has a new key and a new serial number."""
    first, second = authority.issue(TEAM_A), authority.issue(TEAM_A)
    assert first.key_pem != second.key_pem
    assert leaf(first.chain_pem).serial_number != leaf(second.chain_pem).serial_number


def test_the_authority_is_kept(tmp_path: Path) -> None:
    """Opened again it is the same, and only its owner can read it."""
    folder = tmp_path / "ca"
    first = Authority.open(folder)
    assert Authority.open(folder).root_pem == first.root_pem
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600


def test_a_start_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    """A key without its certificate was never trusted by anybody, and is replaced."""
    folder = tmp_path / "ca"
    Authority.open(folder)
    (folder / "root.pem").unlink()
    Authority.open(folder)
    assert leaf((folder / "root.pem").read_bytes()).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)


def test_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    """A key that others can read, that is another's, missing or broken, or an authority at its end: one line each."""
    folder, other = tmp_path / "ca", tmp_path / "other"
    Authority.open(folder)
    Authority.open(other)
    key = folder / "key.pem"
    with pytest.raises(CertificateError, match="come to its end"):
        Authority.open(folder, now=dt.datetime.now(dt.UTC) + AUTHORITY_LIFETIME)
    key.chmod(0o640)
    with pytest.raises(CertificateError, match="read by others"):
        Authority.open(folder)
    write_private(key, (other / "key.pem").read_bytes())
    with pytest.raises(CertificateError, match="is not the key of"):
        Authority.open(folder)
    key.unlink()
    with pytest.raises(CertificateError, match=r"key.pem is missing: remove"):
        Authority.open(folder)


def _pem(key: PrivateKeyTypes, password: bytes = b"") -> bytes:
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


P256 = ec.generate_private_key(ec.SECP256R1())
UNKNOWN = b"-----BEGIN PRIVATE KEY-----\nMBQCAQAwDQYJKwYBBAGCNxUUBQAEAA==\n-----END PRIVATE KEY-----\n"
"""A key of an algorithm that nobody has."""
BAD_KEYS: dict[str, list[bytes | None]] = {
    "is no private key": [
        b"", b"nonsense", bytes(range(256)), b"\0" * 300, _pem(P256)[:80],
        _pem(P256).replace(b"PRIVATE", b"PRIVATF", 1), _pem(P256).replace(b"\n", b"\n\n!", 2),
    ],
    "is locked by a password": [_pem(P256, b"s3cret")],
    "is a kind of key that is not known here": [UNKNOWN],
    "is not the key of|is no key of the curve P-256": [
        _pem(ed25519.Ed25519PrivateKey.generate()), _pem(ec.generate_private_key(ec.SECP384R1())),
    ],
    "is a folder": [None],
}  # fmt: skip


@pytest.mark.parametrize(("why", "content"), [(why, content) for why, all_ in BAD_KEYS.items() for content in all_])
def test_a_key_file_that_is_none_is_one_sentence(why: str, content: bytes | None, tmp_path: Path) -> None:
    """Of the authority and of tokens: the path, why, and what to do; nothing of what a library says of it."""
    Authority.open(tmp_path / "ca")
    tokens.key_set(tmp_path)
    for file in (tmp_path / "ca" / "key.pem", tmp_path / "keys" / "tokens.pem"):
        file.unlink()
        if content is None:
            file.mkdir()
        else:
            write_private(file, content)
        line = rf"^{re.escape(str(file))} ({why}).*: remove .* and start again: "
        with pytest.raises(LocalError, match=line) as refused:
            Authority.open(tmp_path / "ca") if file.parent.name == "ca" else tokens.issue(tmp_path, "viewer", 60)
        assert "\n" not in str(refused.value)
        assert "http" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"nonsense", bytes(256), _pem(P256), None])
def test_a_certificate_that_is_none_is_one_sentence(content: bytes | None, tmp_path: Path) -> None:
    """The path, and what to do."""
    Authority.open(tmp_path / "ca")
    file = tmp_path / "ca" / "root.pem"
    file.unlink()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    line = rf"^{re.escape(str(file))} is no certificate: remove \S+ and start again"
    with pytest.raises(CertificateError, match=line):
        Authority.open(tmp_path / "ca")


@pytest.mark.parametrize("content", [b"", b"nonsense", _pem(P256)])
def test_certificates_for_another_cluster_are_refused_by_name(content: bytes, tmp_path: Path) -> None:
    """Before anything starts: KAFKA_TLS_FOLDER holds files that are no certificates."""
    for name in ("root.pem", "chain.pem", "key.pem"):
        (tmp_path / name).write_bytes(content)
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "k:9093", "KAFKA_TLS_FOLDER": str(tmp_path)}
    line = rf"KAFKA_TLS_FOLDER is wrong: the files in {re.escape(str(tmp_path))} cannot be used \([a-z ]+\)"
    with pytest.raises(LocalError, match=line):
        Kafka(tmp_path, "127.0.0.2", Manifests(), Identities(Authority.open(tmp_path / "ca")), environ)


def test_names_that_cannot_be_issued(authority: Authority) -> None:
    """What is no SPIFFE ID, or no name of a KafkaUser, gets no certificate."""
    with pytest.raises(CertificateError, match="no SPIFFE ID"):
        authority.issue("team-a")
    with pytest.raises(CertificateError, match="1 to 64"):
        authority.issue_kafka("x" * 65)
