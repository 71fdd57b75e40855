"""The SQL of the moderator's store, built once; parameters are bound by name."""

from __future__ import annotations

import sqlalchemy as sa

from services.moderator.store.tables import debates, events, turns

GET = debates.select().where(debates.c.id == sa.bindparam("id"))
BY_REQUEST = debates.select().where(debates.c.request_id == sa.bindparam("request_id"))
INSERT_DEBATE = debates.insert()
UPDATE = (
    debates.update()
    .where(debates.c.id == sa.bindparam("debate_id"), debates.c.version == sa.bindparam("expected"))
    .values(
        {
            name: sa.bindparam(name)
            for name in (
                *("version", "state", "stop_reason", "evidence", "round", "question", "turn_count", "event_count"),
                *("tokens_spent", "forfeits", "redundant", "summary", "verdict", "end_time_us", "step", "due_us"),
                *("owner", "attempt", "granted_us", "agenda", "digests", "judgement"),
                *("summary_absence", "verdict_absence"),
            )
        }
    )
)
TURN = turns.select().where(turns.c.debate_id == sa.bindparam("debate_id"), turns.c.number == sa.bindparam("number"))
TURNS = (
    turns.select()
    .where(turns.c.debate_id == sa.bindparam("debate_id"), turns.c.number > sa.bindparam("after_number"))
    .order_by(turns.c.number)
    .limit(sa.bindparam("row_limit"))
)
TURNS_BETWEEN = (
    turns.select()
    .where(
        turns.c.debate_id == sa.bindparam("debate_id"),
        turns.c.number >= sa.bindparam("first"),
        turns.c.number <= sa.bindparam("last"),
    )
    .order_by(turns.c.number)
)
EVENTS = (
    events.select()
    .where(events.c.debate_id == sa.bindparam("debate_id"), events.c.number > sa.bindparam("after_number"))
    .order_by(events.c.number)
    .limit(sa.bindparam("row_limit"))
)
NEWEST = (
    debates.select().order_by(debates.c.create_time_us.desc(), debates.c.id.desc()).limit(sa.bindparam("row_limit"))
)
OLDER = NEWEST.where(
    sa.or_(
        debates.c.create_time_us < sa.bindparam("time_us"),
        sa.and_(debates.c.create_time_us == sa.bindparam("time_us"), debates.c.id < sa.bindparam("id")),
    )
)
DUE = (
    sa.select(debates.c.id, debates.c.step)
    .where(debates.c.due_us <= sa.bindparam("now_us"))
    .order_by(debates.c.due_us)
    .limit(sa.bindparam("row_limit"))
)
OWNED = sa.select(debates.c.id).where(debates.c.owner == sa.bindparam("owner"), debates.c.due_us.is_not(None))
RENEW = (
    debates.update()
    .where(debates.c.id == sa.bindparam("debate_id"), debates.c.version == sa.bindparam("expected"))
    .values(due_us=sa.bindparam("due_us"))
)
EVENT_COUNTS = sa.select(debates.c.id, debates.c.event_count).where(
    debates.c.id.in_(sa.bindparam("ids", expanding=True))
)
