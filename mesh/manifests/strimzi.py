"""Strimzi's KafkaTopic and KafkaUser, of kafka.strimzi.io/v1 and v1beta2.

The two versions differ, as far as is read here, in one field: a v1beta2 right could name a single `operation`, which
Strimzi itself advises to write as `operations`, and so it is refused by name. What another authentication,
authorization or host would mean is nothing that a laptop's broker could obey, so each is refused, too.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mesh.manifests.document import ClusterOnly, Spec

ResourceType = Literal["topic", "group", "cluster", "transactionalId"]
Operation = Literal[
    "All",
    "Read",
    "Write",
    "Create",
    "Delete",
    "Alter",
    "Describe",
    "ClusterAction",
    "DescribeConfigs",
    "AlterConfigs",
    "IdempotentWrite",
]
VERSIONS = frozenset({"v1", "v1beta2"})


def _only(known: str, hint: str = "") -> AfterValidator:
    shown = known if known.isalnum() else repr(known)

    def check(value: str) -> str:
        if value != known:
            raise ValueError(f"only {shown} is known here{hint}")
        return value

    return AfterValidator(check)


class KafkaTopicSpec(Spec):
    """spec of a KafkaTopic. `config` is in Kafka's own names."""

    topic_name: str = ""
    """Its name in Kafka; the resource's own, if it is empty."""
    partitions: Annotated[int, Field(ge=1)] = 1
    replicas: ClusterOnly = None
    config: dict[str, str | int | bool] = Field(default_factory=dict)


class UserAuthentication(Spec):
    """How the user proves who it is."""

    type: Annotated[str, _only("tls")]


class AclResource(Spec):
    """What a right is for."""

    type: ResourceType
    name: str = ""
    pattern_type: Literal["literal", "prefix"] = "literal"

    @model_validator(mode="after")
    def _is_named(self) -> AclResource:
        if not self.name and self.type != "cluster":
            raise ValueError(f"name: is missing: write that of the {self.type}")
        return self


class Acl(Spec):
    """Operations that the user may do on a resource."""

    type: Annotated[str, _only("allow", ": allow less instead")] = "allow"
    host: Annotated[str, _only("*", ": the certificate says who it is")] = "*"
    resource: AclResource
    operations: tuple[Operation, ...] = Field(min_length=1)


class UserAuthorization(Spec):
    """What the user may do; nothing else."""

    type: Annotated[str, _only("simple")]
    acls: tuple[Acl, ...] = Field(min_length=1)


class KafkaUserSpec(Spec):
    """spec of a KafkaUser."""

    authentication: UserAuthentication
    authorization: UserAuthorization
