"""How a client fetches rows and stores scores: by ADBC in columns, by psycopg in rows.

Of each there are two: what is commonly written, all rows at once, and the fastest that was found, in chunks that
are computed and stored while the next ones arrive.
"""

import adbc_driver_postgresql.dbapi
import numpy as np
import psycopg
import pyarrow
from server import ADDRESS

SCORES = pyarrow.schema([("id", pyarrow.int32()), ("score", pyarrow.float64())])


class Adbc:
    name = "ADBC"

    def __init__(self):
        # One to read from while the other writes.
        self.reading = adbc_driver_postgresql.dbapi.connect(ADDRESS)
        self.writing = adbc_driver_postgresql.dbapi.connect(ADDRESS)

    def chunks(self, query):
        """The ids, and the other columns as a matrix of float32."""
        with self.reading.cursor() as cursor:
            cursor.execute(query)
            yield from map(ids_and_inputs, self.arrived(cursor))
        self.reading.commit()

    def arrived(self, cursor):
        yield cursor.fetch_arrow_table()

    def store(self, table, scored):
        """Makes a table of ids and scores; ADBC ingests by COPY."""
        batches = (pyarrow.record_batch([ids, scores], schema=SCORES) for ids, scores in scored)
        with self.writing.cursor() as cursor:
            cursor.adbc_ingest(table, pyarrow.RecordBatchReader.from_batches(SCORES, batches), mode="create")
        self.writing.commit()

    def close(self):
        self.reading.close()
        self.writing.close()


class ChunkedAdbc(Adbc):
    name = "ADBC in chunks"

    def arrived(self, cursor):
        return cursor.fetch_record_batch()


def ids_and_inputs(columns):
    inputs = np.empty((columns.num_rows, columns.num_columns - 1), dtype=np.float32)
    for position, column in enumerate(columns.columns[1:]):
        inputs[:, position] = column.to_numpy()
    return columns.column(0).to_numpy(), inputs


class Psycopg:
    name = "psycopg"
    binary = False

    def __init__(self):
        self.reading = psycopg.connect(ADDRESS)
        self.writing = psycopg.connect(ADDRESS)

    def chunks(self, query):
        with self.reading.cursor() as cursor:
            cursor.execute(query)
            matrix = np.array(cursor.fetchall())
            yield matrix[:, 0].astype(np.int32), matrix[:, 1:].astype(np.float32)
        self.reading.commit()

    def store(self, table, scored):
        with self.writing.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {table} (id int, score float8)")
            with cursor.copy(f"COPY {table} FROM STDIN {'(FORMAT BINARY)' if self.binary else ''}") as copy:
                copy.set_types(["int4", "float8"])
                for ids, scores in scored:
                    for pair in zip(ids.tolist(), scores.tolist(), strict=True):
                        copy.write_row(pair)
        self.writing.commit()

    def close(self):
        self.reading.close()
        self.writing.close()


class ChunkedPsycopg(Psycopg):
    name = "psycopg in binary chunks"
    binary = True

    def chunks(self, query):
        with self.reading.cursor(binary=True) as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(65536):
                matrix = np.array(rows)
                yield matrix[:, 0].astype(np.int32), matrix[:, 1:].astype(np.float32)
        self.reading.commit()
