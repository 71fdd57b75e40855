"""The moderator's tables. migrations/versions makes them; a test compares the two.

What a debate waits for (step, due_us, owner, attempt) is in its own row, so that one compare-and-set on `version`
covers the record, the floor, the deadline and the budget.
"""

from __future__ import annotations

import sqlalchemy as sa

from mesh.store.outbox import outbox_table

metadata = sa.MetaData()
outbox_table(metadata)

debates = sa.Table(
    "debates",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("version", sa.Integer(), nullable=False),
    sa.Column("topic", sa.Text(), nullable=False),
    sa.Column("seats", sa.Text(), nullable=False),
    sa.Column("max_rounds", sa.Integer(), nullable=False),
    sa.Column("settings", sa.Text(), nullable=False),
    sa.Column("token_budget", sa.Integer(), nullable=False),
    sa.Column("create_time_us", sa.BigInteger(), nullable=False),
    sa.Column("traceparent", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(128), unique=True),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("stop_reason", sa.String(32)),
    sa.Column("evidence", sa.Text()),
    sa.Column("round", sa.Integer(), nullable=False),
    sa.Column("question", sa.Text(), nullable=False),
    sa.Column("turn_count", sa.Integer(), nullable=False),
    sa.Column("event_count", sa.Integer(), nullable=False),
    sa.Column("tokens_spent", sa.BigInteger(), nullable=False),
    sa.Column("forfeits", sa.Text(), nullable=False),
    sa.Column("redundant", sa.Text(), nullable=False),
    sa.Column("summary", sa.Text(), nullable=False),
    sa.Column("verdict", sa.Text(), nullable=False),
    sa.Column("end_time_us", sa.BigInteger()),
    sa.Column("step", sa.String(16), nullable=False),
    sa.Column("due_us", sa.BigInteger()),
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("granted_us", sa.BigInteger(), nullable=False),
    sa.Column("language", sa.String(35), nullable=False, server_default=""),
    sa.Column("agenda", sa.Text(), nullable=False, server_default="[]"),
    sa.Column("judgement", sa.Text()),
    sa.Column("summary_absence", sa.String(32)),
    sa.Column("verdict_absence", sa.String(32)),
    sa.Column("digests", sa.Text(), nullable=False, server_default="[]"),
    sa.Index("debates_due", "due_us"),
    sa.Index("debates_newest", "create_time_us", "id"),
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("debate_id", sa.String(32), sa.ForeignKey("debates.id"), primary_key=True),
    sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("round", sa.Integer(), nullable=False),
    sa.Column("agent", sa.String(64), nullable=False),
    sa.Column("question", sa.Text(), nullable=False),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("create_time_us", sa.BigInteger(), nullable=False),
    sa.Column("elapsed_us", sa.BigInteger(), nullable=False),
    sa.Column("forfeited", sa.Boolean(), nullable=False),
    sa.Column("forfeit_reason", sa.Text(), nullable=False),
    sa.Column("model", sa.String(255), nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
    sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("debate_id", sa.String(32), sa.ForeignKey("debates.id"), primary_key=True),
    sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("create_time_us", sa.BigInteger(), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("data", sa.Text(), nullable=False),
    sa.Column("turn_number", sa.Integer()),
)
