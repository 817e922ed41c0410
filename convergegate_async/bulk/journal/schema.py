"""The tables of a journal, and how those of an older version become today's."""

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import chain

import attrs

from .records import JobHeader
from .wal import PAGE_SIZE

APPLICATION = int.from_bytes(b"CGJ1")
VERSION = FIRST_WITH_REFUNDS = FIRST_WITH_TOTAL = 3


def _stored(sql: str) -> str:
    """Return statements as they are kept: short, so that all fit into one page.

    A kill while the file is written anew (`Writer.rewrite`) would leave one schema of
    pages of two files.
    """
    return re.sub(r"\s*--.*|^\s+", "", sql, flags=re.MULTILINE)


_USAGE = _stored("""
CREATE TABLE usage (
  salt BLOB NOT NULL,     -- the job's, for a WAL to say whose it is
  number INTEGER NOT NULL, -- of the last commit
  in_use INTEGER NOT NULL
);
""")

_REFUNDS = _stored("""
CREATE TABLE batches (
  name TEXT PRIMARY KEY,
  begun_at REAL NOT NULL,
  is_whole INTEGER NOT NULL -- all of its refunds are written down
)
""")
_REFUND = _stored("""
CREATE TABLE refunds (
  number INTEGER PRIMARY KEY,
  batch TEXT NOT NULL,
  row_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  currency TEXT NOT NULL,
  amount INTEGER NOT NULL,
  state TEXT NOT NULL,
  refunded_before INTEGER, -- of the session, when it was intended
  sent_at REAL,
  refund_id TEXT,
  http_status INTEGER,
  code TEXT,
  message TEXT,
  refunded_elsewhere INTEGER NOT NULL, -- of the session, when it was planned
  UNIQUE (batch, session_id)
)
""")
_REFUND_INDEX = "CREATE INDEX refunds_of ON refunds (session_id)"
_REFUND_IDS = (
    "CREATE INDEX refund_ids ON refunds (refund_id) WHERE refund_id IS NOT NULL"
)

CONTROL_TOTAL = """
SELECT (SELECT ifnull(sum(attempts), 0) FROM rows)
  + (SELECT ifnull(sum(2 - (state = 'pending')), 0) FROM refunds)
"""
"""What the tables add up to: what may have been sent, and what is to be paid back."""

SET_CONTROL_TOTAL = f"UPDATE usage SET control_total = ({CONTROL_TOTAL})"  # noqa: S608 -- a constant


def _counting(table: str, column: str, weight: str) -> tuple[str, ...]:
    """Return the triggers that keep a table's part of the control total."""
    new, old = weight.format("new"), weight.format("old")
    changes = {
        "in AFTER INSERT": new,
        "out AFTER DELETE": f"-{old}",
        f"on AFTER UPDATE OF {column}": f"{new} - {old}",
    }
    return tuple(
        f"CREATE TRIGGER {table}_{event} ON {table} BEGIN UPDATE usage "  # noqa: S608 -- constants
        f"SET control_total = control_total + {change}; END"
        for event, change in changes.items()
    )


_COUNTING = (
    "ALTER TABLE usage ADD COLUMN control_total INTEGER NOT NULL DEFAULT 0",
    *_counting("rows", "attempts", "{}.attempts"),
    *_counting("refunds", "state", "(2 - ({}.state = 'pending'))"),
)

_RESOLUTIONS = _stored("""
CREATE TABLE resolutions (
  number INTEGER PRIMARY KEY,
  row_id TEXT NOT NULL,
  session_id TEXT,     -- or it has none, or it is about a refund
  batch TEXT,          -- of that refund
  refund_id TEXT,      -- or it was not made
  resolved_by TEXT NOT NULL,
  resolved_at REAL NOT NULL
);
""")

_SCHEMA = _stored(f"""
PRAGMA page_size = {PAGE_SIZE};
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE job (
  job TEXT NOT NULL,
  base_url TEXT NOT NULL,
  live INTEGER NOT NULL,
  api_key_fingerprint TEXT NOT NULL,
  keys_honoured INTEGER NOT NULL,
  salt BLOB NOT NULL,
  sdk_version TEXT NOT NULL,
  source TEXT NOT NULL,
  options TEXT NOT NULL,
  total INTEGER,
  begun_at REAL,
  damaged_at REAL,
  invalid INTEGER NOT NULL DEFAULT 0,
  refresh_at REAL
);
{_USAGE}
{_RESOLUTIONS}
CREATE TABLE rows (
  position INTEGER PRIMARY KEY,
  row_id TEXT NOT NULL UNIQUE,
  fingerprint BLOB NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  sent_at REAL NOT NULL, -- it may have been until `sent_until`, if that is there
  before TEXT,         -- the state that a withdrawn intent falls back to, if any
  completed INTEGER,   -- rising in order of completion
  session_id TEXT,     -- from `status` on: what it was when it was last seen
  url,                 -- the link; or the number of its head, if the session id follows
  http_status INTEGER,
  code TEXT,
  message TEXT,
  sent_until REAL,
  status TEXT,
  currency TEXT,
  amount_total INTEGER,
  amount_refunded INTEGER,
  expires_at REAL,
  seen_at REAL
);
CREATE TABLE heads (
  number INTEGER PRIMARY KEY,
  head TEXT NOT NULL UNIQUE
);
CREATE INDEX under_way ON rows (position) WHERE state = 'sent';
{_REFUNDS};
{_REFUND};
{_REFUND_INDEX};
{_REFUND_IDS};
CREATE INDEX completion ON rows (completed) WHERE completed IS NOT NULL;
{"; ".join(_COUNTING)};
""")


@attrs.frozen
class StateWords:
    """How two states are spelled in the file, as SQL."""

    created: str = "'created'"
    rejected: str = "'rejected'"


_EARLY = StateWords("'done'", "'failed'")
STATE_WORDS: dict[int, StateWords] = {1: _EARLY, 2: _EARLY, VERSION: StateWords()}
"""By the version of a journal, which is checked before it is upgraded."""

UPGRADES: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE job ADD COLUMN begun_at REAL",
        "ALTER TABLE job ADD COLUMN damaged_at REAL",
        "UPDATE job SET begun_at = (SELECT min(sent_at) FROM rows)",
        "ALTER TABLE rows ADD COLUMN sent_until REAL",
        _USAGE,
        "INSERT INTO usage SELECT salt, 0, 0 FROM job",
        "PRAGMA user_version = 2",
    ),
    2: (
        "UPDATE rows SET state = 'created' WHERE state = 'done'",
        "UPDATE rows SET state = 'rejected' WHERE state = 'failed'",
        "UPDATE rows SET before = 'rejected' WHERE before = 'failed'",
        "ALTER TABLE job ADD COLUMN invalid INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE job ADD COLUMN refresh_at REAL",
        "ALTER TABLE rows ADD COLUMN status TEXT",
        "ALTER TABLE rows ADD COLUMN currency TEXT",
        "ALTER TABLE rows ADD COLUMN amount_total INTEGER",
        "ALTER TABLE rows ADD COLUMN amount_refunded INTEGER",
        "ALTER TABLE rows ADD COLUMN expires_at REAL",
        "ALTER TABLE rows ADD COLUMN seen_at REAL",
        _REFUNDS,
        _REFUND,
        _REFUND_INDEX,
        _REFUND_IDS,
        _RESOLUTIONS,
        *_COUNTING,
        SET_CONTROL_TOTAL,
        "PRAGMA user_version = 3",
    ),
}
"""What makes the next version out of each, in the same file."""


_OBJECTS = "SELECT name, sql FROM sqlite_schema WHERE type <> 'table'"
_COLUMNS = """
SELECT kept.name, field.name, lower(field.type), field."notnull", field.pk
FROM sqlite_schema AS kept, pragma_table_info(kept.name) AS field
WHERE kept.type = 'table'
"""


def is_of_version(version: int, schema: Iterable[str]) -> bool:
    """Tell whether the statements of *schema*, upgraded, make the tables of today."""
    upgrades = (UPGRADES[older] for older in range(version, VERSION))
    try:
        return _made_by(";".join(chain(schema, *upgrades))) == _made_by(_SCHEMA)
    except sqlite3.Error:
        return False


def _made_by(statements: str) -> set[object]:
    """Return the columns, indexes and triggers that *statements* make."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(statements)
        return {*connection.execute(_OBJECTS), *connection.execute(_COLUMNS)}


def image(header: JobHeader) -> bytes:
    """Return the bytes of a new journal."""
    values = attrs.astuple(header)
    marks = ", ".join("?" * len(values))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        connection.execute(f"INSERT INTO job VALUES ({marks})", values)  # noqa: S608 -- question marks
        connection.execute("INSERT INTO usage VALUES (?, 0, 0, 0)", [header.salt])
        made = bytearray(connection.serialize())
    made[18:20] = b"\2\2"  # it is written and read by a WAL, from the first commit on
    return bytes(made)
