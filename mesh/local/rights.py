"""Rights at the broker: what the KafkaUsers of k8s/base declare, as Kafka's ACLs.

On a cluster Strimzi's User Operator makes the same ACLs of the same files. Here `set_rights` does: it adds what is
missing and removes what is no longer declared, so the broker never allows more than the files say. It allows nothing
by itself: that is the broker's StandardAuthorizer. The runner calls it once the broker is up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh.local.broker import administration, principal
from mesh.local.errors import StartupError
from mesh.manifests.strimzi import Operation, ResourceType

if TYPE_CHECKING:
    from mesh.bus.access import KafkaAccess

OPERATIONS: Mapping[Operation, str] = {
    "All": "ALL",
    "Read": "READ",
    "Write": "WRITE",
    "Create": "CREATE",
    "Delete": "DELETE",
    "Alter": "ALTER",
    "Describe": "DESCRIBE",
    "ClusterAction": "CLUSTER_ACTION",
    "DescribeConfigs": "DESCRIBE_CONFIGS",
    "AlterConfigs": "ALTER_CONFIGS",
    "IdempotentWrite": "IDEMPOTENT_WRITE",
}
"""Strimzi's names of operations, and Kafka's."""

ACTIVE_SECONDS = 10.0
"""Longest wait until new rights are obeyed: 0.1 s is usual."""

CLUSTER = "kafka-cluster"
"""The one resource of type cluster."""


@dataclass(frozen=True, order=True)
class Right:
    """One thing that one user may do, from any host: an entry of a KafkaUser's acls, for one of its operations."""

    user: str
    resource_type: ResourceType
    name: str
    """Of the topic or group; "*" for all of them."""
    prefix: bool
    """Whether it is of all whose names begin so."""
    operation: Operation
    """In Strimzi's words."""


def make_rights(access: KafkaAccess, rights: Iterable[Right]) -> tuple[int, int]:
    """As `set_rights`, with a client of its own; blocks, so call it in a thread. Raises StartupError."""
    with administration(access, "make the rights of the KafkaUsers") as admin:
        return set_rights(admin, rights)


def set_rights(admin: Any, rights: Iterable[Right]) -> tuple[int, int]:
    """Makes the broker's rights these and no others; returns how many were added and removed.

    `admin` is a client of `administration`. For a home's own broker only: on another cluster it would take away what
    others were given there. Nothing changes if they are so already. Raises StartupError.
    """
    from kafka import admin as kafka  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that others need not pay

    declared = {_acl(right) for right in rights}
    found, _ = admin.describe_acls(_everything())
    there = set(found)
    added, removed = declared - there, there - declared
    failed: list[Any] = []
    if added:
        failed += admin.create_acls(list(added))["failed"]
    if removed:
        filters = [
            kafka.ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, acl.resource_pattern)
            for acl in removed
        ]
        failed += [error for _, _, error in admin.delete_acls(filters) if error.errno]
    if failed:
        raise StartupError(f"The broker did not make all rights: {failed[0].__name__}.")
    _wait_until_active(admin, declared)
    return len(added), len(removed)


def _wait_until_active(admin: Any, declared: set[Any]) -> None:
    """The controller answers when it has noted the rights; the broker obeys them when it has read that note."""
    until = time.monotonic() + ACTIVE_SECONDS
    while set(admin.describe_acls(_everything())[0]) != declared:
        if time.monotonic() > until:
            raise StartupError("The broker does not obey the rights it was given.")
        time.sleep(0.01)


def _acl(right: Right) -> Any:
    from kafka import admin as kafka  # noqa: PLC0415 - as above

    types = {"topic": "TOPIC", "group": "GROUP", "cluster": "CLUSTER", "transactionalId": "TRANSACTIONAL_ID"}
    pattern = kafka.ACLResourcePatternType.PREFIXED if right.prefix else kafka.ACLResourcePatternType.LITERAL
    resource = kafka.ResourcePattern(kafka.ResourceType[types[right.resource_type]], right.name, pattern)
    operation = kafka.ACLOperation[OPERATIONS[right.operation]]
    return kafka.ACL(principal(right.user), "*", operation, kafka.ACLPermissionType.ALLOW, resource)


def _everything() -> Any:
    from kafka import admin as kafka  # noqa: PLC0415 - as above

    any_resource = kafka.ResourcePatternFilter(kafka.ResourceType.ANY, None, kafka.ACLResourcePatternType.ANY)
    return kafka.ACLFilter(None, None, kafka.ACLOperation.ANY, kafka.ACLPermissionType.ANY, any_resource)
