"""What is declared of a home: which of two resources for one host is obeyed, by when each was applied first."""

from __future__ import annotations

from pathlib import Path

import pytest
from rostrum.local.v1 import runner_pb2

from mesh.local.declared import NAMESPACE, ManifestFolder
from mesh.local.messages import resources_of
from mesh.manifests.istio.destination_rule import DestinationRuleSpec, host_of
from mesh.manifests.istio.virtual_service import VirtualServiceSpec, hosts_of
from mesh.manifests.names import fqdn
from mesh.manifests.overlay import Overlay
from mesh.testing.clock import FakeClock

ROOT = Path(__file__).resolve().parents[4]
HOST = fqdn("embeddings", NAMESPACE)
VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: NAME, creationTimestamp: "2001-01-01T00:00:00Z"}
spec:
  hosts: [embeddings]
  http: [{route: [{destination: {host: embeddings}}]}]
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: NAME, creationTimestamp: null}
spec: {host: embeddings, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}
"""


class Home:
    """A home that is changed and never run."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.folder = ManifestFolder(ROOT, {}, self.clock)
        self.overlay = Overlay()

    def change(self, text: str, *names: str, delete: bool = False) -> None:
        files = [runner_pb2.ManifestFile(name=f"{name}.yaml", text=text.replace("NAME", name)) for name in names]
        request = runner_pb2.ChangeResourcesRequest(files=files, delete=delete)
        overlay, _ = self.folder.change(self.overlay, request)
        self.overlay = Overlay.from_dict(overlay.as_dict())
        self.clock.advance(2)

    @property
    def virtual_services(self) -> list[str]:
        """Those for the host, in the order in which they are obeyed."""
        mesh = self.folder.read(self.overlay).mesh
        return [found.name for found in mesh.all(VirtualServiceSpec) if HOST in hosts_of(found)]

    @property
    def rules(self) -> list[str]:
        """The same of DestinationRules."""
        mesh = self.folder.read(self.overlay).mesh
        return [found.name for found in mesh.all(DestinationRuleSpec) if host_of(found) == HOST]


@pytest.mark.parametrize(("text", "kind"), [(VIRTUAL_SERVICE, "virtual_services"), (RULE, "rules")])
def test_the_files_own_is_the_oldest_and_then_what_was_applied_first(text: str, kind: str) -> None:
    """Names decide only within a second; a change keeps the age, and deleting and applying again gives a new one."""
    home = Home()
    assert getattr(home, kind) == ["embeddings"]
    home.change(text, "zz-first")
    home.change(text, "aa-second")
    home.change(text, "cc-together", "bb-together")
    assert getattr(home, kind) == ["embeddings", "zz-first", "aa-second", "bb-together", "cc-together"]
    home.change(text.replace("spec:", "spec:\n  exportTo: ['*']") if kind == "virtual_services" else text, "zz-first")
    assert getattr(home, kind)[:2] == ["embeddings", "zz-first"]
    home.change(text, "zz-first", delete=True)
    home.change(text, "zz-first")
    assert getattr(home, kind) == ["embeddings", "aa-second", "bb-together", "cc-together", "zz-first"]
    home.change(text, "embeddings", delete=True)
    assert getattr(home, kind)[0] == "aa-second"
    home.change(text, "embeddings")
    assert getattr(home, kind)[-1] == "embeddings"


def test_what_istiod_is_asked_with_has_the_same_ages() -> None:
    """The texts by which `config --istiod` asks say when each was applied; those of the files say nothing."""
    home = Home()
    home.change(VIRTUAL_SERVICE, "zz-first")
    texts = home.folder.texts(home.overlay)
    assert [file for file, text in texts.items() if "creationTimestamp" in text] == ["zz-first.yaml"]
    assert "creationTimestamp: '2023-11-14T22:13:20Z'" in texts["zz-first.yaml"]


def test_resources_are_listed_with_their_age() -> None:
    """That of the first apply; none for what the files hold."""
    home = Home()
    home.change(VIRTUAL_SERVICE, "zz-first")
    found = {row.name: row for row in resources_of(home.folder.list_resources(home.overlay, "virtualservices"))}
    assert found["zz-first"].create_time.ToJsonString() == "2023-11-14T22:13:20Z"
    assert not found["embeddings"].HasField("create_time")
