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
    moderator_address: str = setting(
        "MODERATOR_ADDRESS", "the moderator as host:port, to fetch missed turns", default="moderator:50051"
    )
    """"host:port"."""
