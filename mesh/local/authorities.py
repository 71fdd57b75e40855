"""The operating system's certificate authorities, as one file: those that a DestinationRule means that names none.

Called by `mesh.local.declared`. Source: the list of istio/istio security/pkg/util (GetOSRootFilePath), and where Python
and the caller's SSL_CERT_FILE have them.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/usr/local/etc/ssl/cert.pem",
    "/etc/ssl/cert.pem",
)
"""Debian, Fedora, openSUSE, OpenELEC, newer Fedora, FreeBSD, macOS and Alpine."""


def find_system_authorities() -> str:
    """The path of the file; empty if there is none. What SSL_CERT_FILE names comes first."""
    named = os.environ.get("SSL_CERT_FILE", ""), ssl.get_default_verify_paths().cafile or ""
    found = next((path for path in (named[0], *_FILES, named[1]) if path and Path(path).is_file()), "")
    return found and str(Path(found).absolute())
