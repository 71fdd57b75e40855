"""Manifests that cannot be run are refused by file, document and field."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mesh.local.manifests import read
from mesh.local.rights import Right
from mesh.manifests.errors import ManifestError

BASE = Path(__file__).resolve().parents[4] / "k8s" / "base"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("replicas: 1", "replicas: 1\n  paused: true", "paused"),
        ("replicas: 1", "replicas: many", "spec.replicas"),
        ("kind: Service\n", "kind: Ingress\n", "v1 Ingress"),
        ("serviceAccountName: team-a", "serviceAccountName: nobody", "nobody"),
        ("grpc: {port: 50051}", "tcpSocket: {port: 50051}", "startupProbe"),
        ('          command: ["python", "-m", "services.debater"]\n', "", "command"),
    ],
)
def test_unknown_is_refused(tmp_path: Path, old: str, new: str, field: str) -> None:
    """What the runner does not understand is an error that names it, never ignored."""
    folder = tmp_path / "base"
    shutil.copytree(BASE, folder)
    path = folder / "team-a.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ManifestError, match=field):
        read(folder)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("authentication: {type: tls}", "authentication: {type: scram-sha-512}", r"authentication\.type: only tls"),
        ("    type: simple", "    type: opa", r"authorization\.type: only simple"),
        ("    type: simple", "    type: simple\n    superUsers: [me]", r"authorization\.superUsers"),
        (
            "operations: [Read]",
            "operations: [Reed]",
            r"operations\[0\]: input should be 'All', 'Read', .*, not 'Reed'",
        ),
        ("operations: [Read]", "operations: []", r"acls\[0\]\.operations: tuple should have at least 1 item"),
        (
            "operations: [Read]",
            "operation: Read",
            r"acls\[0\]\.operation: .*no such field.*here: host, operations",
        ),
        ("operations: [Read]", "operations: [Read]\n        host: 10.0.0.1", r"acls\[0\]\.host: only '\*'"),
        ("operations: [Read]", "operations: [Read]\n        type: deny", r"acls\[0\]\.type: only allow"),
        ("{type: topic,", "{type: topics,", r"resource\.type: input should be 'topic', 'group', .*, not 'topics'"),
        (
            "turns.v1}",
            "turns.v1, patternType: glob}",
            r"resource\.patternType: input .* 'literal' or 'prefix', not 'glob'",
        ),
        ("turns.v1}", "turn.v1}", r"acls\[0\]\.resource\.name: there is no KafkaTopic 'rostrum.debate.turn.v1'"),
        ("  name: moderator\n", "  name: kafka\n", "kafka is the name of the broker"),
        ("  name: moderator\n", "  name: rostrum-runner\n", "rostrum-runner is the name of the broker or the runner"),
    ],
)
def test_rights_that_are_not_understood(tmp_path: Path, old: str, new: str, field: str) -> None:
    """A KafkaUser is obeyed to the letter or refused: a right that is read otherwise than written is a hole."""
    folder = tmp_path / "base"
    shutil.copytree(BASE, folder)
    path = folder / "kafka-users.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ManifestError, match=field):
        read(folder)


def test_rights_are_read_one_by_one(tmp_path: Path) -> None:
    """Each operation of an entry is a right; a cluster has one name; a prefix stays one."""
    (tmp_path / "user.yaml").write_text(
        """
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaUser
metadata: {name: someone}
spec:
  authentication: {type: tls}
  authorization:
    type: simple
    acls:
      - resource: {type: topic, name: x., patternType: prefix}
        operations: [Read, Write]
      - resource: {type: cluster}
        operations: [IdempotentWrite]
""",
        "utf-8",
    )
    assert read(tmp_path).kafka_users == {
        "someone": (
            Right("someone", "topic", "x.", prefix=True, operation="Read"),
            Right("someone", "topic", "x.", prefix=True, operation="Write"),
            Right("someone", "cluster", "kafka-cluster", prefix=False, operation="IdempotentWrite"),
        )
    }


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    """A file that is no YAML is named with its line."""
    (tmp_path / "x.yaml").write_text("a: 1\nb: [\n", "utf-8")
    with pytest.raises(ManifestError, match=r"x\.yaml: cannot be read as YAML: .* at line 3"):
        read(tmp_path)


def test_no_manifests(tmp_path: Path) -> None:
    """A folder without manifests is refused with what to do."""
    with pytest.raises(ManifestError, match="give the folder"):
        read(tmp_path / "nowhere")
