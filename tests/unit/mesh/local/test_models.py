"""Each Deployment speaks with the model that its manifest names, else with the home's; one embedded model runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh.local.client import LocalRunner
from mesh.local.environment import Environment
from mesh.local.folders import PodFolder
from mesh.local.manifests import Manifests, manifests_of
from mesh.local.models import embedded_model
from mesh.manifests import parse_documents, read_documents, read_folders
from mesh.manifests.errors import ManifestError

BASE = Path(__file__).resolve().parents[4] / "k8s" / "base"


def manifests(**models: str) -> Manifests:
    """Those of k8s/base, with a MODEL of their own for these Deployments."""
    texts = read_folders(BASE)
    for deployment, model in models.items():
        own = "            - {name: SERVICE_NAME, value: " + deployment.replace("_", "-") + "}\n"
        for name, text in texts.items():
            texts[name] = text.replace(own, f"{own}            - {{name: MODEL, value: {model}}}\n")
    return manifests_of(read_documents(parse_documents(texts, "default")))


def model_of(found: Manifests, deployment: str, home_model: str, folder: Path) -> str:
    environment = Environment(found, folder, home_model, {"OPENAI_API_KEY": "k"})
    pod = PodFolder(folder, f"{deployment}-0")
    variables = environment.of(
        found.deployments[deployment], f"{deployment}-0", "127.0.1.1", pod, bootstrap="k:9093", kafka_tls=None
    )
    pod.close()
    return variables["MODEL"]


def test_a_manifests_model_is_its_own(tmp_path: Path) -> None:
    """team-b speaks with the one that it names, team-a and the moderator with that of the home."""
    found = manifests(team_b="ollama:llama3.2")
    models = {name: model_of(found, name, "openai:x", tmp_path) for name in ("team-a", "team-b", "moderator")}
    assert models == {"team-a": "openai:x", "team-b": "ollama:llama3.2", "moderator": "openai:x"}


def test_the_embedded_model_runs_if_anybody_speaks_with_it(tmp_path: Path) -> None:
    """Its pod is given the one that is named, whatever the home's is; nobody naming one, there is none."""
    found = manifests(team_b="embedded:small")
    assert embedded_model(found.deployments.values(), "openai:x") == "embedded:small"
    assert model_of(found, "model", "openai:x", tmp_path) == "embedded:small"
    assert embedded_model(manifests().deployments.values(), "openai:x") == ""
    assert embedded_model(manifests().deployments.values(), "embedded") == "embedded"


def test_two_embedded_models_are_refused() -> None:
    """One runs at a time, and the error names both and who wants them."""
    with pytest.raises(ManifestError, match=r"embedded \(.*\) and embedded:small \(team-b\)"):
        embedded_model(manifests(team_b="embedded:small").deployments.values(), "embedded")


def test_models_of_single_agents_are_found(tmp_path: Path) -> None:
    """What manifests name beside the home's model is known before a start; a variable of another name is none."""
    base = tmp_path / "k8s" / "base"
    base.mkdir(parents=True)
    for name, text in read_folders(BASE).items():
        own = "- {name: SERVICE_NAME, value: team-b}"
        more = f"{own}\n            - {{name: MODEL, value: ollama:llama3.2}}"
        (base / Path(name).name).write_text(text.replace(own, more), "utf-8")
    runner = LocalRunner(tmp_path / "home", {"ROSTRUM_MANIFESTS": str(tmp_path)})
    assert runner.named_models() == ["ollama:llama3.2"]
    assert LocalRunner(tmp_path / "home", {}).named_models() == ()
