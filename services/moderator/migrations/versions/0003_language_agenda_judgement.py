"""Adds what a debate knows of its language, its agenda and its verdict as data, and what a closing has digested."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns; debates that are there have no agenda, and keep their verdict as text."""
    op.add_column("debates", sa.Column("language", sa.String(35), nullable=False, server_default=""))
    op.add_column("debates", sa.Column("agenda", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("debates", sa.Column("judgement", sa.Text()))
    op.add_column("debates", sa.Column("summary_absence", sa.String(32)))
    op.add_column("debates", sa.Column("verdict_absence", sa.String(32)))
    op.add_column("debates", sa.Column("digests", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Homes only go forward."""
    raise NotImplementedError
