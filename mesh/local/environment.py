"""What a pod's process finds in its environment: the variables of its Deployment, and the runner's own in their place.

A pod gets few of the caller's variables: where its model is and how it is reached, if it speaks with one, and what
telemetry wants. Called by the runner alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.local import models
from mesh.local.folders import PodFolder
from mesh.local.manifests import Manifests
from mesh.manifests import ManifestError
from mesh.manifests.kubernetes import Workload
from mesh.manifests.pods import EnvVar
from mesh.store.urls import sqlite_url

PASSED = ("ROSTRUM_CACHE", "XDG_CACHE_HOME")
MODEL_KEY = "OPENAI_API_KEY"
"""By this variable a Deployment says that it speaks with a model, which may be elsewhere."""
PASSED_FOR_MODELS = (
    *("OLLAMA_HOST", "OPENAI_BASE_URL", MODEL_KEY, "OPENAI_API_KEY_FILE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
"""How it is reached: for those who speak with it, and for nobody else."""
MODEL_DEFAULTS = ("MODEL_TEMPERATURE", "MODEL_CONTEXT_TOKENS")
"""For those whose manifest says nothing of it."""
MACHINE = ("HOME", "TMPDIR")
PREFIXES = ("OTEL_", "OPENBLAS_")


@dataclass(frozen=True)
class Environment:
    """What is the same for all pods of a home. `caller`: the variables of who started the runner."""

    manifests: Manifests
    home: Path
    model: str
    caller: Mapping[str, str]

    @property
    def machine(self) -> dict[str, str]:
        """What every process gets: its own locale among it, for file names are UTF-8 whatever the caller's is."""
        kept = {name: value for name, value in self.caller.items() if name in MACHINE or name.startswith("OPENBLAS_")}
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", **kept, "LANG": "C.UTF-8"}

    def of(
        self, deployment: Workload, pod: str, ip: str, folder: PodFolder, *, bootstrap: str, kafka_tls: Path | None
    ) -> dict[str, str]:
        """The variables of one pod. `bootstrap`: Kafka's servers. Raises ManifestError."""
        found: dict[str, str] = {}
        for source in deployment.container.env_from:
            found.update(self.manifests.config_maps[source.config_map_ref.name])
        own = {
            "POD_NAME": pod,
            "POD_IP": ip,
            "SIDECAR_FOLDER": folder.short,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "DATABASE_URL": sqlite_url(self.home / "stores" / f"{_service(deployment)}.db"),
            "MODEL": self._model_of(deployment),
        }
        if kafka_tls is not None:
            own["KAFKA_TLS_FOLDER"] = str(kafka_tls)
        for variable in deployment.container.env:
            value = self._value(deployment, variable, pod, ip, own)
            if value is not None:
                found[variable.name] = re.sub(
                    r"\$\((\w+)\)", lambda match: {**own, **found}.get(match[1], match[0]), value
                )
        # Where a pod is to listen at its own address, it listens at a socket that only its sidecar knows.
        sockets = {f"{ip}:{port}": f"unix:{folder.app_socket(port)}" for port in deployment.ports.values()}
        found = {name: sockets.get(value, value) for name, value in found.items()}
        if kafka_tls is None:
            found.pop("KAFKA_TLS_FOLDER", None)
        names = {*PASSED, *(PASSED_FOR_MODELS if _speaks_with_a_model(deployment) else ())}
        passed = {name: value for name, value in self.caller.items() if name in names or name.startswith(PREFIXES)}
        defaults = {name: self.caller[name] for name in MODEL_DEFAULTS if name in self.caller}
        return {**self.machine, **defaults, **found, **own, **passed}

    def _model_of(self, deployment: Workload) -> str:
        if deployment.name == models.SERVER:
            return models.embedded_model(self.manifests.deployments.values(), self.model)
        return models.model_of(deployment, self.model)

    def _value(self, deployment: Workload, variable: EnvVar, pod: str, ip: str, own: Mapping[str, str]) -> str | None:
        source = variable.value_from
        if source is None:
            return variable.value
        if source.field_ref is not None:
            return {"metadata.name": pod, "status.podIP": ip}[source.field_ref.field_path]
        if (key := source.config_map_key_ref) is not None:
            return self.manifests.config_maps[key.name].get(key.key, "")
        if variable.name not in own and variable.name not in self.caller:
            if source.secret_key_ref is not None and source.secret_key_ref.optional:
                return None
            raise ManifestError(f"{deployment.name} needs the secret {variable.name}: set it in the environment.")
        return self.caller.get(variable.name, "")


def _speaks_with_a_model(deployment: Workload) -> bool:
    return any(variable.name == MODEL_KEY for variable in deployment.container.env)


def _service(deployment: Workload) -> str:
    """Whose store it is: another version of a service shares the service's."""
    names = (variable.value for variable in deployment.container.env if variable.name == "SERVICE_NAME")
    return next((name for name in names if name), deployment.name)
