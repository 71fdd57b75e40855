"""What a model is good for, also where its server does not say so now.

Called by services, which shape their prompts by it; the calls to come say what is wrong with the server.
"""

from __future__ import annotations

import logging
from typing import Protocol

from mesh.errors import ModelError
from mesh.llm.port import Profile

UNKNOWN_PROFILE = Profile(context_tokens=4096, temperature=None, guided=False)
"""Assumed of a model whose server does not say."""

log = logging.getLogger(__name__)


class Profiled(Protocol):
    """A model, metered or not."""

    async def profile(self) -> Profile:
        """See mesh.llm.port.Model."""
        ...


async def load_profile(model: Profiled) -> Profile:
    """Returns the model's profile; UNKNOWN_PROFILE if its server does not say now."""
    try:
        return await model.profile()
    except ModelError as error:
        log.warning("the model's profile is not known: %s", error.message)
        return UNKNOWN_PROFILE
