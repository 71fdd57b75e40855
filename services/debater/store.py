"""The debater's tables: those of every agent, and none of its own."""

from __future__ import annotations

import sqlalchemy as sa

from mesh.agent.store import add_tables

metadata = sa.MetaData()
add_tables(metadata)
