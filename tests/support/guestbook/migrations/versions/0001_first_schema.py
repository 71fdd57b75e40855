"""The first schema: guests, and the outbox."""

from __future__ import annotations

from alembic import op

from tests.support.guestbook.store import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes all tables. They never change: nobody's home has them."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """There is nothing before the first schema."""
    raise NotImplementedError
