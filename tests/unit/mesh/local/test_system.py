"""A home whose pods were never started: what is applied to it is active in all of its sidecars, which are none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest
from rostrum.local.v1 import runner_pb2

from mesh.clock import SystemClock
from mesh.errors import InvalidArgumentError
from mesh.local import tokens
from mesh.local.addresses import Addresses
from mesh.local.applied import FILE, AppliedFile
from mesh.local.changes import Changes
from mesh.local.declared import ManifestFolder
from mesh.local.environment import Environment
from mesh.local.errors import LocalError
from mesh.local.identities import Identities, open_authority
from mesh.local.kafka import Kafka
from mesh.local.key_sets import KeySets
from mesh.local.placement import Placement
from mesh.local.plan import Plan
from mesh.local.reconciler import START_SECONDS, Reconciler
from mesh.local.replica_factory import ReplicaFactory
from mesh.local.snapshot import Snapshot
from mesh.local.system import Home, System, open_system
from mesh.manifests.errors import ManifestError
from mesh.manifests.overlay import Action
from tests.support.answers import serving

ROOT = Path(__file__).resolve().parents[4]
DENY = ROOT / "istio" / "scenarios" / "deny" / "authorization.yaml"


class RecordingReconciler(Reconciler):
    """Starts nothing: notes the pods that were to be started, and what was waited for."""

    def __init__(self, first: Snapshot, factory: ReplicaFactory, changes: Changes) -> None:
        super().__init__(first, factory, changes, lambda _: None, lambda _: None)
        self.steps: list[str] = []

    async def apply(self, plan: Plan, *, wait: bool = True) -> None:
        self.steps.append("start " + ", ".join(plan.started))
        self._current = plan.new

    async def wait_until_ready(self, names: Iterable[str], seconds: float = START_SECONDS) -> None:
        self.steps.append("wait for " + ", ".join(sorted(names)))


class FakeKafka(Kafka):
    async def open(self, cache: Path, report: Callable[[str], None]) -> None:
        pass

    async def prepare(self) -> None:
        pass

    async def declare(self, report: Callable[[str], None]) -> None:
        pass


def request(text: str, *, delete: bool = False, dry_run: bool = False) -> runner_pb2.ChangeResourcesRequest:
    file = runner_pb2.ManifestFile(name="asked.yaml", text=text)
    return runner_pb2.ChangeResourcesRequest(files=[file], delete=delete, dry_run=dry_run)


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    (tmp_path / "run").mkdir()
    system = open_system(Home(tmp_path, "openai:none", {}), ROOT, lambda _: None)
    yield system
    await system.stop()


async def test_the_broker_starts_first(tmp_path: Path) -> None:
    """All others wait for it, and load their code meanwhile."""
    (tmp_path / "run").mkdir()
    home, authority, changes = Home(tmp_path, "openai:none", {}), open_authority(tmp_path / "ca"), Changes()
    key_sets = KeySets({tokens.JWKS_URI: tokens.key_set(tmp_path)})
    folder = ManifestFolder(ROOT, key_sets.known, SystemClock())
    addresses, identities = Addresses(tmp_path), Identities(authority)
    kafka = FakeKafka(tmp_path, addresses.broker, folder.base, identities, {})
    factory = ReplicaFactory(tmp_path, Environment(folder.base, tmp_path, home.model, {}), kafka, identities, changes)
    resources = folder.read(AppliedFile(tmp_path).read())
    reconciler = RecordingReconciler(Snapshot(resources, authority.root_pem), factory, changes)
    placement = Placement(tmp_path, addresses, kafka.users, "")
    system = System(
        home, folder=folder, placement=placement, kafka=kafka, identities=identities, key_sets=key_sets,
        reconciler=reconciler, report=lambda _: None,
    )  # fmt: skip
    try:
        await system.start()
    finally:
        await system.stop()
    others = "embeddings-0, ingress-0, moderator-0, team-a-0, team-b-0"
    assert reconciler.steps == [
        "start kafka-0",
        f"start {others}",
        "wait for kafka-0",
        "wait for embeddings-0, ingress-0, kafka-0, moderator-0, team-a-0, team-b-0",
    ]


async def test_what_is_applied_is_active_and_kept_until_it_is_deleted(system: System, tmp_path: Path) -> None:
    """Apply, list, delete: the next start of the home finds what was active at the end of this one."""
    changes = await system.change(request(DENY.read_text("utf-8")))
    assert [(change.key.name, change.action) for change in changes] == [("team-b-closed", Action.CREATED)]
    assert "team-b-closed" in {found.key.name for found in system.list_resources("authorizationpolicies")}
    assert "team-b-closed" in "".join(file.text for file in system.mesh().files)
    assert [key.name for key in AppliedFile(tmp_path).read().applied] == ["team-b-closed"]
    assert [change.action for change in await system.change(request(DENY.read_text("utf-8"), delete=True))] == [
        Action.DELETED
    ]
    assert "team-b-closed" not in {found.key.name for found in system.list_resources("")}
    assert not AppliedFile(tmp_path).read().applied


async def test_a_dry_run_changes_nothing(system: System, tmp_path: Path) -> None:
    """It says what would change, and refuses what would be refused."""
    changes = await system.change(request(DENY.read_text("utf-8"), dry_run=True))
    assert [change.action for change in changes] == [Action.CREATED]
    assert "team-b-closed" not in {found.key.name for found in system.list_resources("")}
    with pytest.raises(ManifestError, match=r"asked.yaml document 1 .*: "):
        await system.change(request(DENY.read_text("utf-8").replace("action: DENY", "action: MAYBE"), dry_run=True))
    assert not (tmp_path / FILE).exists()


async def test_what_cannot_be_kept_is_not_active(system: System, tmp_path: Path) -> None:
    """Applying fails where the home cannot be written, and then all is as it was."""
    (tmp_path / "applied.new").mkdir()
    with pytest.raises(LocalError, match=r"applied.new"):
        await system.change(request(DENY.read_text("utf-8")))
    assert "team-b-closed" not in {found.key.name for found in system.list_resources("")}


async def test_deployments_of_the_manifests_are_not_applied(system: System) -> None:
    """What Rostrum was started with cannot be replaced while it runs."""
    text = (ROOT / "k8s" / "base" / "team-b.yaml").read_text("utf-8").split("---")[2]
    with pytest.raises(ManifestError, match="runs here already: give it another name"):
        await system.change(request(text.replace("replicas: 1", "replicas: 2")))


async def test_only_what_runs_here_is_found(system: System) -> None:
    """The embedded model is none of it where another is spoken with."""
    assert system.deployment("team-a") is not None
    assert system.deployment("model") is None
    assert system.deployment("nobody") is None


async def test_the_ingress_has_one_replica(system: System) -> None:
    """People connect there, at one address."""
    ingress = system.deployment("ingress")
    assert ingress is not None
    with pytest.raises(InvalidArgumentError, match="one replica at most"):
        await system.scale(ingress, 2)


RULES = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: company}
spec:
  selector: {matchLabels: {istio: ingress}}
  jwtRules: [{issuer: company, jwksUri: "ADDRESS"}]
"""
KEYS = '{"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}'


async def test_keys_of_an_issuer_are_fetched_as_it_is_applied(system: System) -> None:
    """Every sidecar has them with the resource, and istiod would be given the same; deleted, they are forgotten."""
    with serving({"/keys": (200, KEYS.encode())}) as address:
        text = RULES.replace("ADDRESS", f"{address}/keys")
        await system.change(request(text))
        assert system.mesh().jwks[f"{address}/keys"] == KEYS
        (row,) = system.status().key_sets
        assert (row.jwks_uri, row.problem) == (f"{address}/keys", "")
        await system.change(request(text, delete=True))
    assert list(system.mesh().jwks) == [tokens.JWKS_URI]
    assert not system.status().key_sets


async def test_an_issuer_that_does_not_answer_is_told(system: System) -> None:
    """The resource is active, its tokens are refused, and the status says why."""
    await system.change(request(RULES.replace("ADDRESS", "http://127.0.0.1:1/keys")))
    (row,) = system.status().key_sets
    assert row.problem.startswith("it cannot be fetched: ")
    assert row.problem.endswith("; tokens of its issuer are refused")
    with pytest.raises(ManifestError, match=r"jwtRules\[0\].jwksUri: keys.rostrum.svc is within a cluster"):
        await system.change(request(RULES.replace("ADDRESS", "http://keys.rostrum.svc/keys")))
