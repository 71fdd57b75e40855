"""Resource names of the form "{collection}/{id}" and what ids are made of, each form written here and nowhere else.

Owns the collections that rostrum.agent.v1 speaks of; an application declares others with `Collection`. Whoever takes
a name or an id from outside (an API, a record, the command, the name of a topic) asks here, so that all accept the
same. Free of frameworks, so that `logic` may use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mesh.errors import InvalidNameError

MAX_QUOTED_CHARACTERS = 80
"""How much of a wrong name an error repeats."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The resources of one kind, such as "agents"."""

    name: str
    """Its segment of the name."""
    singular: str
    """What stands for an id in the documented form, such as "agent"."""
    id_form: str
    """What an id is made of, for people."""
    id_pattern: re.Pattern[str]

    @property
    def form(self) -> str:
        """The form of a name as the protos write it, such as "agents/{agent}"."""
        return f"{self.name}/{{{self.singular}}}"

    def is_id(self, text: str) -> bool:
        """Says whether this can be an id of a resource."""
        return self.id_pattern.fullmatch(text) is not None

    def name_of(self, resource_id: str) -> str:
        """Returns the name of the resource with this id."""
        return f"{self.name}/{resource_id}"

    def id_of(self, name: str) -> str | None:
        """Returns the id in a name; None if it is not of this form."""
        collection, _, resource_id = name.partition("/")
        return resource_id if collection == self.name and self.is_id(resource_id) else None

    def parse(self, name: str, field: str) -> str:
        """Returns the id in a name that a request has in this field. Raises InvalidNameError."""
        resource_id = self.id_of(name)
        if resource_id is None:
            quoted = name[:MAX_QUOTED_CHARACTERS]
            message = f"{field} is {quoted!r}, not of the form {self.form}"
            raise InvalidNameError(message, field=field, value=quoted, form=self.form)
        return resource_id


AGENTS = Collection(
    "agents",
    "agent",
    "1 to 40 of a-z, 0-9 and '-', a letter first and no '-' last",
    re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?"),
)
"""An agent's id is also its Deployment, Service, account, KafkaUser and a part of its topic: it fits all of them."""

CONVERSATIONS = Collection(
    "debates",
    "debate",
    "1 to 32 of a-z and 0-9",
    re.compile(r"[a-z0-9]{1,32}"),
)
"""What floors and utterances belong to, as rostrum.agent.v1 names it; an agent knows of it no more than this name."""
