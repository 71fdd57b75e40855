"""What every service stands on, built in one place: settings, database, publisher, relay, channels, model, server.

A service's `wiring` makes one Foundation, builds its own objects on it, and returns `parts(...)`: the order of start is
store, bus, the service's own parts, and the server last, so that nothing is served before it can be done.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.bus.consumer import KeyedConsumer
from mesh.bus.publisher import Publisher
from mesh.bus.relay import Relay
from mesh.llm.select import DEFAULT_EMBEDDED_URL, DEFAULT_OLLAMA_HOST, ModelServers, open_model
from mesh.llm.traced import TracedModel
from mesh.llm.tuning import Tuning, read_context_tokens, read_temperature
from mesh.rpc.channels import Channels
from mesh.rpc.server import Server
from mesh.settings import SettingsError, load, setting
from mesh.store.database import Database
from mesh.store.migrations import migrate
from mesh.telemetry.setup import set_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    import sqlalchemy as sa

    from mesh.bus.message import Incoming, OutboxRow
    from mesh.llm.port import Model
    from mesh.rpc.server import Check
    from mesh.runtime import Part

T = TypeVar("T")

GRACE_SECONDS = 2.0
"""For calls and records under way when the process is asked to stop; model calls are longer and are not waited for."""


MODEL_DOC = "the model: embedded[:SIZE], ollama:NAME or openai:NAME"


@dataclass(frozen=True)
class ServiceSettings:
    """What every service reads from its environment."""

    service: str = setting("SERVICE_NAME", "name of the Deployment, such as team-a")
    """Also the consumer group, the database and OpenTelemetry's service.name."""
    pod: str = setting("POD_NAME", "name of the pod, the same after a restart of the process")
    """Member of the consumer group, and owner of what the service leases."""
    listen_address: str = setting("LISTEN_ADDRESS", "where gRPC is served, as host:port")
    """"host:port"; "unix:PATH" on a laptop."""
    database_url: str = setting("DATABASE_URL", "sqlite:///FILE or postgresql+psycopg://...", secret=True)
    """SQLAlchemy's URL; a secret on a cluster."""
    kafka: str = setting("KAFKA_BOOTSTRAP_SERVERS", "brokers as host:port,host:port")
    """"host:port,host:port"."""
    model: str | None = setting("MODEL", MODEL_DOC, default=None)
    """As mesh.llm.select reads it; needed by services that use a model."""
    temperature: float | None = setting(
        "MODEL_TEMPERATURE", "a number from 0 to 2", default=None, parse=read_temperature
    )
    """None: as the model's profile says."""
    context_tokens: int | None = setting(
        "MODEL_CONTEXT_TOKENS", "tokens of prompt and answer together", default=None, parse=read_context_tokens
    )
    """None: as the model's profile says."""
    kafka_tls: TlsFiles | None = setting(  # noqa: RUF009 - TlsFiles is frozen
        "KAFKA_TLS_FOLDER",
        "folder with root.pem, key.pem and chain.pem for Kafka",
        default=None,
        parse=TlsFiles.in_folder,
    )
    """On a cluster the mounted secret of the KafkaUser. None: a cluster of Kafka without TLS."""
    ollama_host: str = setting("OLLAMA_HOST", "Ollama's address", default=DEFAULT_OLLAMA_HOST)
    """"host:port" or a URL."""
    openai_base_url: str | None = setting("OPENAI_BASE_URL", "URL of an OpenAI-compatible API", default=None)
    """URL that ends in /v1; None: OpenAI's own."""
    openai_api_key: str | None = setting("OPENAI_API_KEY", "its key", default=None, secret=True)
    """None: none is sent."""
    ca_bundle: str | None = setting("REQUESTS_CA_BUNDLE", "file of certificate authorities", default=None)
    """For hosted models, if SSL_CERT_FILE is not set."""
    ssl_cert_file: str | None = setting("SSL_CERT_FILE", "file of certificate authorities", default=None)
    """Read by the HTTP client itself; here for what it overrides."""
    embedded_url: str = setting("EMBEDDED_URL", "URL of the embedded model's API", default=DEFAULT_EMBEDDED_URL)
    """URL that ends in /v1."""
    sidecar_folder: str = setting("SIDECAR_FOLDER", "folder of the sidecar's sockets on a laptop", default="")
    """Path; empty on a cluster, where Istio captures what is dialled."""
    otlp_endpoint: str = setting("OTEL_EXPORTER_OTLP_ENDPOINT", "URL of an OTLP/gRPC collector", default="")
    """URL; empty: no span is exported."""


class Foundation:
    """Made on the event loop that runs the service."""

    def __init__(
        self, environ: Mapping[str, str], metadata: sa.MetaData, migrations: Path, *, model: Model | None = None
    ) -> None:
        """`model` replaces the one that the settings name. Raises SettingsError."""
        self.settings = load(ServiceSettings, environ)
        self._migrations = migrations
        set_up(self.settings.service, self.settings.pod, self.settings.otlp_endpoint)
        self.database = Database(
            self.settings.database_url,
            metadata,
            name=self.settings.service,
            on_commit=self._publish,
        )
        self.kafka = KafkaAccess(self.settings.kafka, self.settings.kafka_tls)
        self.publisher = Publisher(self.kafka, source=self.settings.service)
        self.relay = Relay(self.database, self.publisher)
        self.channels = Channels(self.settings.sidecar_folder)
        self.server = Server(self.settings.listen_address)
        self._model = model

    @cached_property
    def model(self) -> Model:
        """The model, opened by the first look at it. Raises SettingsError."""
        return TracedModel(self._model or self._open_model())

    async def close_model(self) -> None:
        """Ends the model's connections, if it was ever opened."""
        if "model" in self.__dict__:
            await self.model.aclose()

    def consumer(
        self,
        topic: str,
        handler: Callable[[T], Awaitable[None]],
        *,
        receive: Callable[[Incoming], T] | None = None,
    ) -> KeyedConsumer:
        """Returns this service's consumer of a topic; see KeyedConsumer."""
        return KeyedConsumer(
            self.kafka,
            topic,
            self.settings.service,
            handler,
            publish_dead_letter=self.publisher.write,
            receive=receive,
            instance_id=self.settings.pod,
        )

    def parts(
        self,
        *own: Part,
        consumer: KeyedConsumer,
        services: Sequence[str],
        checks: Mapping[str, Check] | None = None,
    ) -> Sequence[Part]:
        """Returns all parts in order of start; `own` are the service's, started before its consumer.

        `checks`: what else its health depends on, as mesh.rpc.server takes it.
        """
        return (
            _Store(self.database, self._migrations, self.settings.database_url),
            self.publisher,
            self.relay,
            *own,
            consumer,
            _Serving(self, consumer, services, checks or {}),
        )

    def _publish(self, rows: Sequence[OutboxRow]) -> None:
        # The database and its relay need each other: the one that is made first finds the other at its first commit.
        self.relay.on_commit(rows)

    def _open_model(self) -> Model:
        if self.settings.model is None:
            raise SettingsError([f"MODEL is not set: {MODEL_DOC}"])
        servers = ModelServers(
            ollama_host=self.settings.ollama_host,
            openai_base_url=self.settings.openai_base_url,
            openai_api_key=self.settings.openai_api_key,
            embedded_url=self.settings.embedded_url,
            embedded_socket=self.channels.http_socket(self.settings.embedded_url),
            ca_bundle=None if self.settings.ssl_cert_file else self.settings.ca_bundle,
        )
        tuning = Tuning(self.settings.temperature, self.settings.context_tokens)
        try:
            return open_model(self.settings.model, servers, tuning)
        except ValueError as error:
            raise SettingsError([f"MODEL: {error}"]) from error


class _Store:
    """Brings the schema up to date, then opens the database."""

    def __init__(self, database: Database, migrations: Path, url: str) -> None:
        self._database, self._migrations, self._url = database, migrations, url

    async def start(self) -> None:
        await asyncio.to_thread(migrate, self._url, self._migrations, name=self._database.name)
        await self._database.start()

    async def stop(self) -> None:
        await self._database.aclose()


class _Serving:
    """The server, and the model's connections, which end with it."""

    def __init__(
        self, foundation: Foundation, consumer: KeyedConsumer, services: Sequence[str], checks: Mapping[str, Check]
    ) -> None:
        self._foundation, self._consumer, self._services, self._checks = foundation, consumer, services, checks

    async def start(self) -> None:
        foundation = self._foundation
        checks = {
            "the store": foundation.database.trouble,
            "the broker": foundation.publisher.trouble,
            "the outbox": foundation.relay.trouble,
            "the consumer": self._consumer.trouble,
            **self._checks,
        }
        vital = {"the consumer's thread": self._consumer.hang, "the store's writer": foundation.database.hang}
        await foundation.server.start(self._services, checks, vital)

    async def stop(self) -> None:
        await self._foundation.server.stop(GRACE_SECONDS)
        await self._foundation.close_model()
