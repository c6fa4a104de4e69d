"""The server under test."""

import os
import time

ADDRESS = f"postgresql://postgres@/postgres?host={os.environ['PGHOST']}&port={os.environ['PGPORT']}"


class Server:
    """A connection to the server under test, and what `make bench` was asked for."""

    def __init__(self, connection, arguments):
        self.connection = connection
        self.arguments = arguments

    def execute(self, query, parameters=None):
        return self.connection.execute(query, parameters)

    def value(self, query, parameters=None):
        return self.execute(query, parameters).fetchone()[0]

    def seconds(self, query):
        begin = time.perf_counter()
        cursor = self.execute(query)
        if cursor.description:
            cursor.fetchall()
        return time.perf_counter() - begin

    def exists(self, relation):
        return self.value("SELECT to_regclass(%s) IS NOT NULL", (relation,))

    def workers(self, count):
        """Lets the queries that follow have so many parallel workers."""
        self.execute(f"SET max_parallel_workers_per_gather = {count}")
