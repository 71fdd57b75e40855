"""A service's own database: one writer thread with group commit, reader threads, outbox, migrations, paging.

Every state change is a compare-and-set inside one transaction, so what is handled twice takes effect once. SQLite (WAL)
on a laptop, PostgreSQL on a cluster; one suite of tests holds both. It knows no service's tables but the outbox, and
never imports the bus that reads it.
"""
