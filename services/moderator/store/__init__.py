"""The moderator's own database: tables, the rows of its dataclasses, the SQL, and the store that `logic` uses."""
