"""How a client fetches rows and stores scores: by ADBC in columns, by psycopg in rows.

Each is at its best, except for Psycopg, which is what is commonly written.
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
        """The ids, and the other columns as a matrix of float32, as they arrive."""
        with self.reading.cursor() as cursor:
            cursor.execute(query)
            for batch in cursor.fetch_record_batch():
                inputs = np.empty((batch.num_rows, batch.num_columns - 1), dtype=np.float32)
                for position, column in enumerate(batch.columns[1:]):
                    inputs[:, position] = column.to_numpy()
                yield batch.column(0).to_numpy(), inputs
        self.reading.commit()

    def store(self, table, scored):
        """Makes a table of ids and scores; ADBC ingests by COPY."""
        batches = (pyarrow.record_batch([ids, scores], schema=SCORES) for ids, scores in scored)
        with self.writing.cursor() as cursor:
            cursor.adbc_ingest(table, pyarrow.RecordBatchReader.from_batches(SCORES, batches), mode="create")
        self.writing.commit()

    def close(self):
        self.reading.close()
        self.writing.close()


class Psycopg:
    name = "psycopg"
    binary = False

    def __init__(self):
        self.reading = psycopg.connect(ADDRESS)
        self.writing = psycopg.connect(ADDRESS)

    def chunks(self, query):
        """All rows at once."""
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


class BinaryPsycopg(Psycopg):
    name = "psycopg, binary both ways, in chunks"
    binary = True

    def chunks(self, query):
        with self.reading.cursor(binary=True) as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(65536):
                matrix = np.array(rows)
                yield matrix[:, 0].astype(np.int32), matrix[:, 1:].astype(np.float32)
        self.reading.commit()
