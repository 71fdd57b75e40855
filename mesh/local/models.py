"""Which model each Deployment speaks with: the one that its manifest names in MODEL, else the home's.

Of embedded models one runs at a time, in the pod `model`, if anybody speaks with it. Called by `environment` and by
`system`.
"""

from __future__ import annotations

from collections.abc import Iterable

from mesh.manifests import ManifestError
from mesh.manifests.kubernetes import Workload

SERVER = "model"
"""The Deployment that serves the embedded model."""


def model_of(deployment: Workload, home_model: str) -> str:
    """Returns the model of a Deployment's pods."""
    named = (variable.value for variable in deployment.container.env if variable.name == "MODEL")
    return next((name for name in named if name), home_model)


def embedded_model(deployments: Iterable[Workload], home_model: str) -> str:
    """Returns the embedded model that is spoken with, or "" if none is. Raises ManifestError if there are two."""
    models = {model_of(deployment, home_model): deployment.name for deployment in deployments}
    embedded = {model: name for model, name in models.items() if model.partition(":")[0] == "embedded"}
    if len(embedded) > 1:
        uses = " and ".join(f"{model} ({name})" for model, name in sorted(embedded.items()))
        raise ManifestError(f"One embedded model runs at a time, and MODEL names {uses}: choose one of them.")
    return next(iter(embedded), "")
