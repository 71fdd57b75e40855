"""A service's own database: one writer thread with group commit, reader threads, outbox and inbox, migrations, paging.

Every state change is a compare-and-set inside one transaction. SQLite (WAL) on a laptop, PostgreSQL on a cluster; one
suite of tests holds both. It knows no service's tables but outbox and inbox, and never imports the bus that reads them.
"""
