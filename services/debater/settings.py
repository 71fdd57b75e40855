"""What a debater reads from its environment, once, in `wiring`."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.settings import setting


@dataclass(frozen=True)
class Settings:
    """One agent's settings; deployment-wide ones are in mesh/service.py."""

    description: str = setting(
        "AGENT_DESCRIPTION", "one line for people on who this agent is", default="A debater that argues its seat's side"
    )
    """Shown by GetAgent."""
    persona: str = setting(
        "AGENT_PERSONA", "who the agent is and how it argues, for its prompts; empty: nobody in particular", default=""
    )
    """A few sentences in its operator's words, such as "a retired nurse who distrusts averages"."""
    moderator_address: str = setting(
        "MODERATOR_ADDRESS", "the moderator as host:port, to fetch missed turns", default="moderator:50051"
    )
    """"host:port"."""
