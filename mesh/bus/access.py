"""How a process reaches Kafka: the brokers' addresses, and the certificate that says who it is.

The one value that publisher, consumer and the runner's administration take. It hands kafka-python paths, not contents:
kafka-python reads them for each connection, so a renewed certificate is in use from the next connection on, without a
restart; a connection that is open stays as it is. Who may do what is said in the KafkaUsers of k8s/base.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authority that signs the brokers, and our own key and certificate."""

    root: Path
    key: Path
    chain: Path

    @classmethod
    def in_folder(cls, folder: str | Path) -> TlsFiles:
        """root.pem, key.pem and chain.pem of a folder. ValueError if one cannot be read."""
        path = Path(folder)
        files = cls(path / "root.pem", path / "key.pem", path / "chain.pem")
        for file in (files.root, files.key, files.chain):
            try:
                file.open("rb").close()
            except OSError as error:
                raise ValueError(f"{file}: {error.strerror}") from error
        return files

    def demand_usable(self) -> None:
        """Raises ValueError if these files are no certificate with its key, or no authority's."""
        try:
            self.context()
        except OSError as error:  # ssl.SSLError is one
            why = str(getattr(error, "reason", None) or error.strerror or error).replace("_", " ").lower()
            raise ValueError(f"the files in {self.root.parent} cannot be used ({why})") from error

    def context(self) -> ssl.SSLContext:
        """A context of our own, as kafka-python makes it. Raises OSError, also where the files do not fit."""
        context = ssl.create_default_context(cafile=self.root)
        context.load_cert_chain(self.chain, self.key)
        return context


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """`tls` is None only for another cluster that has no TLS; the broker that `rostrum up` starts always has."""

    bootstrap_servers: str
    """"host:port,host:port"."""
    tls: TlsFiles | None = None

    def client_settings(self) -> dict[str, Any]:
        """What every client of kafka-python is made with. The broker must be who it was dialed as."""
        servers = {"bootstrap_servers": self.bootstrap_servers.split(",")}
        if self.tls is None:
            return servers
        return {
            **servers,
            "security_protocol": "SSL",
            "ssl_check_hostname": True,
            "ssl_cafile": str(self.tls.root),
            "ssl_keyfile": str(self.tls.key),
            "ssl_certfile": str(self.tls.chain),
        }
