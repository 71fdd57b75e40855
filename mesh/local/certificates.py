"""The local certificate authority: one key in one folder, and the leaves that it signs for workloads and the broker.

A leaf for a sidecar is istiod's: empty subject, the SPIFFE ID as its one, critical name. A leaf for Kafka also has a
subject, `CN=<KafkaUser>`: Kafka makes its principal of the subject alone (SslPrincipalMapper sees no alternative
name), and Strimzi's User Operator issues just that for the KafkaUser of this name, so rights name `User:CN=team-a` on
a laptop as on a cluster. A sidecar's leaf has no rights at the broker, and a Kafka leaf has no SPIFFE ID for Envoy.
It hands out PEM texts and writes nothing but its own two files; mesh.local.identities keeps those of pods.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.local.errors import CertificateError

LEAF_LIFETIME = dt.timedelta(hours=24)
"""As istiod's. Renewed at half of it, so a machine may sleep through a night."""
CLOCK_SKEW = dt.timedelta(minutes=2)
"""How long before its issue a certificate holds already, as istiod's do: another process may ask a clock that is still
in the second before, as the kernel's coarse one is for milliseconds, and what is not valid yet is refused."""
AUTHORITY_LIFETIME = dt.timedelta(days=3650)
"""As istiod's own CA. Nothing renews it: a home that old says so."""


@dataclass(frozen=True)
class Identity:
    """A private key and the certificates that go with it, leaf first; times in UTC, whole seconds.

    `not_before` is when it was issued: the certificate itself holds from CLOCK_SKEW earlier.
    """

    key_pem: bytes
    chain_pem: bytes
    not_before: dt.datetime
    not_after: dt.datetime

    @property
    def renewal_time(self) -> dt.datetime:
        """When half of its life is over."""
        return self.not_before + (self.not_after - self.not_before) / 2


class Authority:
    """Signs leaves. Its key stays in this object and in its folder."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key, certificate

    @classmethod
    def open(cls, folder: Path, *, now: dt.datetime | None = None) -> Authority:
        """Loads the authority of this folder, or makes one where there is none. Raises CertificateError, OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        key_file, certificate_file = folder / "key.pem", folder / "root.pem"
        if not certificate_file.exists():  # it is written last: without it nobody has trusted this key yet
            authority = cls._new(now or dt.datetime.now(dt.UTC))
            write_private(key_file, private_pem(authority._key))
            write_private(certificate_file, authority.root_pem)
            return authority
        return cls._load(folder, key_file, certificate_file, now or dt.datetime.now(dt.UTC))

    @classmethod
    def _new(cls, now: dt.datetime) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "cluster.local")])
        begin = now.replace(microsecond=0)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(begin - CLOCK_SKEW)
            .not_valid_after(begin + AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @classmethod
    def _load(cls, folder: Path, key_file: Path, certificate_file: Path, now: dt.datetime) -> Authority:
        again = f"remove {folder} and start again: all certificates are then made again."
        try:
            key = load_private_key(key_file)
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        except KeyFileError as error:
            raise CertificateError(f"{error}: {again}") from error
        except (ValueError, UnsupportedAlgorithm, IsADirectoryError) as error:
            raise CertificateError(f"{certificate_file} is no certificate: {again}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise CertificateError(f"{key_file} is not the key of {certificate_file}: {again}")
        if now + LEAF_LIFETIME > certificate.not_valid_after_utc:
            raise CertificateError(f"The certificate authority in {folder} has come to its end: {again}")
        return cls(key, certificate)

    @property
    def root_pem(self) -> bytes:
        """The certificate that whoever checks a leaf must trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        spiffe_id: str,
        lifetime: dt.timedelta = LEAF_LIFETIME,
        *,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        now: dt.datetime | None = None,
    ) -> Identity:
        """A workload's certificate: "spiffe://..." is its name, with those by which it is dialed, if any."""
        if not spiffe_id.startswith("spiffe://"):
            raise CertificateError(f"{spiffe_id!r} is no SPIFFE ID: it must begin with spiffe://")
        names = [x509.UniformResourceIdentifier(spiffe_id), *_dialed_names(dns, ips)]
        return self._issue(x509.Name([]), names, lifetime, now)

    def issue_kafka(
        self,
        user: str,
        lifetime: dt.timedelta = LEAF_LIFETIME,
        *,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        now: dt.datetime | None = None,
    ) -> Identity:
        """A certificate for Kafka, whose principal is `User:CN=<user>`; a broker's has the names it is dialed by."""
        if not 0 < len(user) <= 64:
            raise CertificateError(f"{user!r} cannot be the name of a KafkaUser: it must have 1 to 64 characters")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
        return self._issue(subject, _dialed_names(dns, ips), lifetime, now)

    def _issue(
        self, subject: x509.Name, names: Sequence[x509.GeneralName], lifetime: dt.timedelta, now: dt.datetime | None
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        begin = (now or dt.datetime.now(dt.UTC)).replace(microsecond=0)
        end = min(begin + lifetime, self._certificate.not_valid_after_utc)
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder(
                self._certificate.subject,
                subject,
                key.public_key(),
                x509.random_serial_number(),
                begin - CLOCK_SKEW,
                end,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(authority_key, critical=False)
        )
        if names:  # RFC 5280 4.2.1.6: critical where the subject is empty
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
        certificate = builder.sign(self._key, hashes.SHA256())
        return Identity(private_pem(key), certificate.public_bytes(serialization.Encoding.PEM), begin, end)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as PKCS #8, which OpenSSL, BoringSSL and Java all read."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class KeyFileError(Exception):
    """A key's file cannot be used. The message begins with its path and says why, but not what to do."""


def load_private_key(file: Path) -> PrivateKeyTypes:
    """The key in a PEM file of the owner's alone. Raises KeyFileError, and OSError if it cannot be read."""
    try:
        mode = file.stat().st_mode
        text = file.read_bytes()
    except FileNotFoundError:
        raise KeyFileError(f"{file} is missing") from None
    except IsADirectoryError:
        raise KeyFileError(f"{file} is a folder") from None
    if mode & 0o077:
        raise KeyFileError(f"{file} can be read by others than its owner")
    try:
        return serialization.load_pem_private_key(text, None)
    except TypeError:
        raise KeyFileError(f"{file} is locked by a password") from None
    except UnsupportedAlgorithm:
        raise KeyFileError(f"{file} is a kind of key that is not known here") from None
    except ValueError:  # whose text is about PEM, and names a page on it
        raise KeyFileError(f"{file} is no private key") from None


def write_private(path: Path, content: bytes) -> None:
    """Puts a file there at once, mode 0600: whoever reads sees the old or the new one, whole. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _dialed_names(dns: Sequence[str], ips: Sequence[str]) -> list[x509.GeneralName]:
    return [*(x509.DNSName(name) for name in dns), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips)]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
