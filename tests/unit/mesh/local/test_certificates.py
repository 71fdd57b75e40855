"""The local authority: what its leaves say, how long, and who can read its key."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.local.certificates import AUTHORITY_LIFETIME, Authority, write_private
from mesh.local.errors import CertificateError

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
    write_private(key, b"nonsense")
    with pytest.raises(CertificateError, match="is broken"):
        Authority.open(folder)
    key.unlink()
    with pytest.raises(CertificateError, match="is broken"):
        Authority.open(folder)


def test_names_that_cannot_be_issued(authority: Authority) -> None:
    """What is no SPIFFE ID, or no name of a KafkaUser, gets no certificate."""
    with pytest.raises(CertificateError, match="no SPIFFE ID"):
        authority.issue("team-a")
    with pytest.raises(CertificateError, match="1 to 64"):
        authority.issue_kafka("x" * 65)
