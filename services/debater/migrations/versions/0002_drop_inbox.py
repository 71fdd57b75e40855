"""Drops the inbox, which nothing was ever written to: what is handled twice takes effect once without it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drops the table."""
    op.drop_table("inbox")


def downgrade() -> None:
    """Homes only go forward."""
    raise NotImplementedError
