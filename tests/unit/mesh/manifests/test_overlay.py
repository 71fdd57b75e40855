"""What is active after resources were applied and deleted: pure values, no proxy."""

from __future__ import annotations

import pytest

from mesh.manifests import Key, ManifestError, parse_documents
from mesh.manifests.overlay import APPLIED, Action, Overlay
from mesh.manifests.texts import parse_text

POLICY = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: team-a, namespace: rostrum}
spec: {host: team-a}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: team-a}
spec: {ports: [{port: 50051}]}
"""
FILES = tuple(parse_documents({"base.yaml": f"{SERVICE}---{POLICY}", "team-a.yaml": RULE}, "rostrum"))
KEY = Key("DestinationRule", "rostrum", "team-a")


NOW, LATER = "2026-11-28T23:07:00Z", "2026-11-28T23:08:00Z"


def applied(text: str, to: Overlay | None = None, now: str = NOW) -> tuple[Overlay, list[Action]]:
    overlay, changes = (to or Overlay()).with_applied(FILES, parse_documents({"asked.yaml": text}, "rostrum"), now)
    return overlay, [change.action for change in changes]


def deleted(text: str, of: Overlay | None = None) -> tuple[Overlay, list[Action]]:
    overlay, changes = (of or Overlay()).with_deleted(FILES, parse_documents({"asked.yaml": text}, "rostrum"))
    return overlay, [change.action for change in changes]


def names(overlay: Overlay) -> dict[str, str]:
    return {str(resource.key): resource.source for resource in overlay.active(FILES)}


def test_nothing_changed() -> None:
    """Without a change the files' own resources are active, Kubernetes' kinds aside."""
    found = {"DestinationRule rostrum/team-a": "team-a.yaml", "PeerAuthentication rostrum/default": "base.yaml"}
    assert names(Overlay()) == found


def test_a_resource_replaces_the_files_own() -> None:
    """One of the same kind, namespace and name takes the place of the file's."""
    other = RULE.replace("host: team-a", "host: team-b")
    overlay, actions = applied(other)
    assert actions == [Action.CONFIGURED]
    assert names(overlay)[str(KEY)] == APPLIED
    documents = [document for file, text in overlay.texts(FILES).items() for document in parse_text(text, file)]
    assert [document["spec"]["host"] for document in documents if document["kind"] == "DestinationRule"] == ["team-b"]
    assert [document["kind"] for document in documents].count("Service") == 1


def test_a_new_resource_joins() -> None:
    """One that no file has is created; its namespace is that of the mesh if it names none."""
    overlay, actions = applied(POLICY.replace("default", "more"))
    assert actions == [Action.CREATED]
    assert "PeerAuthentication rostrum/more" in names(overlay)


def test_the_same_again_changes_nothing() -> None:
    """What is active as asked for is unchanged, from a file or from an earlier apply."""
    overlay, actions = applied(RULE)
    assert (overlay, actions) == (Overlay(), [Action.UNCHANGED])
    once, _ = applied(POLICY.replace("default", "more"))
    assert applied(POLICY.replace("default", "more"), once) == (once, [Action.UNCHANGED])


def test_deleted_is_no_longer_active() -> None:
    """A deleted resource is gone, whether a file has it or it was applied; applied again, it is back."""
    other, _ = applied(RULE.replace("host: team-a", "host: team-b"))
    for start in (Overlay(), other):
        overlay, actions = deleted(RULE, start)
        assert actions == [Action.DELETED]
        assert str(KEY) not in names(overlay)
        back, actions = applied(RULE, overlay)
        assert actions == [Action.CREATED]
        assert str(KEY) in names(back)


def test_a_deployment_may_be_applied() -> None:
    """A further version of a workload joins, and runs before anything else of the same request is active."""
    version = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: team-a-v2}\nspec: {replicas: 1}\n"
    overlay, actions = applied(f"{version}---{RULE.replace('host: team-a', 'host: team-b')}")
    assert actions == [Action.CREATED, Action.CONFIGURED]
    assert list(overlay.deployments) == ["team-a-v2"]
    first = Overlay().with_deployments_of(overlay)
    assert (list(first.applied), list(first.deployments)) == (
        [Key("Deployment", "rostrum", "team-a-v2")],
        ["team-a-v2"],
    )
    assert deleted(version, overlay)[0].deployments == {}


def test_it_is_read_back_as_it_was_written() -> None:
    """The value survives a restart of the runner, as JSON."""
    overlay, _ = deleted(POLICY, applied(RULE.replace("host: team-a", "host: team-b"))[0])
    assert Overlay.from_dict(overlay.as_dict()) == overlay


def ages(overlay: Overlay) -> dict[str, str]:
    return {resource.key.name: resource.created for resource in overlay.active(FILES)}


MORE = POLICY.replace("default", "more")


def test_what_is_applied_is_as_old_as_its_first_apply() -> None:
    """Applied again, changed, written and read back, it keeps its age; deleted and applied again it is young."""
    overlay, _ = applied(MORE)
    assert ages(overlay) == {"team-a": "", "default": "", "more": NOW}
    assert overlay.active(FILES)[-1].text.count(f"creationTimestamp: '{NOW}'") == 1
    for text in (MORE, MORE.replace("STRICT", "DISABLE")):
        overlay = Overlay.from_dict(applied(text, overlay, LATER)[0].as_dict())
        assert ages(overlay)["more"] == NOW
    assert ages(applied(MORE, deleted(MORE, overlay)[0], LATER)[0])["more"] == LATER


def test_what_replaces_a_resource_of_the_files_is_as_old_as_they_are() -> None:
    """Until it is deleted: what is applied then is young."""
    other = RULE.replace("host: team-a", "host: team-b")
    overlay, _ = applied(other)
    assert ages(overlay)["team-a"] == ""
    assert ages(applied(other, deleted(RULE, overlay)[0], LATER)[0])["team-a"] == LATER
    assert ages(applied(RULE, deleted(RULE)[0], LATER)[0])["team-a"] == LATER


@pytest.mark.parametrize("said", ['"2020-01-01T00:00:00Z"', "2020-01-01T00:00:00Z", "null", "[1]"])
def test_an_age_that_a_document_claims_counts_for_nothing(said: str) -> None:
    """It is some server's that the document was printed by."""
    claims = MORE.replace("{name: more}", f"{{name: more, creationTimestamp: {said}}}")
    overlay, _ = applied(claims)
    assert ages(overlay)["more"] == NOW
    assert applied(MORE, overlay, LATER) == (overlay, [Action.UNCHANGED])
    assert applied(RULE.replace("{name: team-a", f"{{name: team-a, creationTimestamp: {said}"))[1] == [Action.UNCHANGED]


def test_a_clock_that_is_set_back_makes_nothing_older() -> None:
    """What is applied later is never the older one."""
    overlay, _ = applied(MORE, now=LATER)
    assert ages(applied(POLICY.replace("default", "another"), overlay, NOW)[0])["another"] == LATER


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SERVICE,
            "asked.yaml document 1 (Service team-a): v1 Service is neither of Istio's kinds nor a Deployment: put",
        ),
        (f"{RULE}---{RULE}", "asked.yaml document 2 (DestinationRule team-a): is declared already in asked.yaml"),
        ("kind: [", "asked.yaml: cannot be read as YAML: did not find expected node content at line 2"),
        ("kind: DestinationRule", "asked.yaml document 1: apiVersion or kind is missing"),
    ],
)
def test_refused(text: str, message: str) -> None:
    """What cannot be applied is refused by file and document, and what to do."""
    with pytest.raises(ManifestError) as refused:
        applied(text)
    assert str(refused.value).startswith(message)


def test_deleting_what_is_not_there() -> None:
    """Nothing is deleted if one of the names is not active."""
    with pytest.raises(ManifestError, match=r"DestinationRule other\): is not active: `rostrum get"):
        deleted(f"{RULE}---{RULE.replace('name: team-a', 'name: other')}")
