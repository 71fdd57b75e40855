"""Statements that are compiled once and then run straight on the driver's cursor.

For the few statements of each turn: what SQLAlchemy does around a statement (a context, a result, its events) costs
many times what SQLite does in it. SQL, parameter style and types come from SQLAlchemy all the same, so that one
statement serves SQLite and PostgreSQL, and errors are SQLAlchemy's. Others use `Connection.execute`.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Statement:
    """One statement for one dialect. Values are given by the names of its parameters, all of them."""

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect, *, columns: Sequence[str] | None = None) -> None:
        """`columns`: of an insert, those that are given; None: all of the table."""
        compiled = statement.compile(dialect=dialect, column_keys=columns)  # type: ignore[attr-defined]
        self._sql = str(compiled)
        self._dialect = dialect
        driver: Any = dialect.dbapi
        self._driver_error: type[Any] = driver.Error
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        """Values that stand in the statement itself, such as an OFFSET of 0."""
        self._ordered: Callable[[Mapping[str, Any]], Any] | None = None
        if compiled.positional:
            names = compiled.positiontup
            self._ordered = itemgetter(*names) if len(names) > 1 else lambda values: (values[names[0]],)
        self._names: tuple[str, ...] = ()

    def rows(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns all rows of a query, by the names of their columns."""
        cursor = self._execute(connection, values)
        if not self._names:
            self._names = tuple(column[0] for column in cursor.description)
        names = self._names
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, connection: sa.Connection, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Returns the first row, or None."""
        rows = self.rows(connection, values)
        return rows[0] if rows else None

    def change(self, connection: sa.Connection, values: Mapping[str, Any]) -> int:
        """Runs a change; returns the number of rows that it changed."""
        changed: int = self._execute(connection, values).rowcount
        return changed

    def change_all(self, connection: sa.Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Runs a change once for each of these."""
        if len(values) == 1:
            self._execute(connection, values[0])
        elif values:
            self._run(connection, many=[self._parameters(row) for row in values])

    def _execute(self, connection: sa.Connection, values: Mapping[str, Any]) -> Any:
        return self._run(connection, one=self._parameters(values))

    def _parameters(self, values: Mapping[str, Any]) -> Any:
        if self._constants:
            values = {**self._constants, **values}
        return values if self._ordered is None else self._ordered(values)

    def _run(self, connection: sa.Connection, *, one: Any = None, many: Any = None) -> Any:
        dialect = self._dialect
        driver = connection.connection
        cursor = driver.cursor()
        try:
            if many is None:
                cursor.execute(self._sql, one)
            else:
                cursor.executemany(self._sql, many)
        except self._driver_error as error:
            if dialect.is_disconnect(error, driver, cursor):
                connection.invalidate(error)
            raise sa.exc.DBAPIError.instance(
                self._sql, None, error, self._driver_error, hide_parameters=True, dialect=dialect
            ) from error
        return cursor
