"""Resources, their changes, and key sets in the words of RunnerService. Called by mesh.local.runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rostrum.local.v1 import runner_pb2

from mesh.local.key_sets import KeySet, describe_effect
from mesh.manifests import Key
from mesh.manifests.overlay import ActiveResource, Change


def changes_of(changes: Sequence[Change]) -> list[runner_pb2.ResourceChange]:
    """What became of each resource."""
    return [
        runner_pb2.ResourceChange(
            resource=_resource(change.key, "", change.after or change.before),
            action=runner_pb2.ResourceChange.Action.Value(change.action.name),
            before=change.before,
            after=change.after,
        )
        for change in changes
    ]


def resources_of(found: Sequence[ActiveResource]) -> list[runner_pb2.Resource]:
    """Resources with the file that each comes from, and when it was applied first."""
    rows = []
    for resource in found:
        row = _resource(resource.key, resource.source, resource.text)
        if resource.created:
            row.create_time.FromJsonString(resource.created)
        rows.append(row)
    return rows


def key_sets_of(fetched: Mapping[str, KeySet]) -> list[runner_pb2.KeySet]:
    """What is known of the key sets that are fetched."""
    rows = []
    for address, found in fetched.items():
        problem = f"{found.problem}; {describe_effect(found)}" if found.problem else ""
        row = runner_pb2.KeySet(jwks_uri=address, problem=problem, failures=found.failures)
        if found.fetched_at:
            row.fetch_time.FromMilliseconds(int(found.fetched_at * 1000))
        rows.append(row)
    return rows


def _resource(key: Key, source: str, text: str) -> runner_pb2.Resource:
    return runner_pb2.Resource(kind=key.kind, namespace=key.namespace, name=key.name, source=source, yaml=text)
