"""Opens what a recording left: a file, or the database of a fleet, which has the same tables and views."""

import json
import sqlite3
import subprocess

END = "answered"


def opened(store):
    """Both answer `execute` as `sqlite3` does."""
    if store.startswith("postgres://"):
        return Database(store)
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    return db


class Database:
    """A database of PostgreSQL, by its own client, so that no driver has to be installed."""

    def __init__(self, url):
        command = ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", url]
        self.psql = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def execute(self, sql, parameters=()):
        first, *others = sql.split("?")
        sql = first + "".join(f"{quoted(value)}{part}" for value, part in zip(parameters, others, strict=True))
        self.psql.stdin.write(f"SELECT row_to_json(one) FROM ({sql}) AS one;\n\\echo {END}\n")
        self.psql.stdin.flush()
        rows = []
        for line in self.psql.stdout:
            if line.strip() == END:
                return Rows(rows)
            rows.append(Row(json.loads(line)))
        raise RuntimeError(f"psql ended at: {sql}")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Rows(list):
    def fetchall(self):
        return self

    def fetchone(self):
        return self[0] if self else None


class Row(dict):
    def __getitem__(self, key):
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)

    def __iter__(self):
        return iter(self.values())
