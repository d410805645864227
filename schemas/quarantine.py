"""Raw records that could not be accepted, and the ledger of what became of every raw record."""

from schemas.declare import Check, Column, Dataset, Metric

UNUSED = "unknown_action"
"""Reason of an event that is sound but of no use here; it says nothing about the log's quality."""

DISPOSITIONS = ("accepted", "merged", "duplicate", "bot", "quarantined", "too_late", "unused", "erased")

FORGOTTEN = "forgotten"
"""Reason of records that were erased, or were refused because their person is to be forgotten."""


def _share(condition: str) -> str:
    return f"coalesce(sum(case when {condition} then records end), 0) / sum(records)"


_NO_ITEM = """coalesce(sum(case when reason = 'missing_object_id' then records end)
    / sum(case when kind = 'event' then records end), 0)"""

QUARANTINE = Dataset(
    name="quarantine",
    doc="One refused raw record: where it stood and why it was refused, never the record itself.",
    columns=(
        Column("file", "string", False, "path below the raw root"),
        Column("line", "bigint", False, "1-based"),
        Column("record", "int", False, "number of the record within its line, from 1"),
        Column("kind", "string", False, "query, event or unknown"),
        Column("reason", "string", False, "a code such as bad_timestamp"),
        Column("field", "string"),
        Column("value", "string", True, "scrubbed, at most 80 characters"),
        Column("sha256", "string", False, "digest of the raw line, or of a row of CSV or Parquet as JSON"),
        Column("excerpt", "string", True, "scrubbed, at most 200 characters"),
        Column("query_id", "string", True, "as far as the record could be read; with the next three it can be erased"),
        Column("session_id", "string"),
        Column("client_id", "string"),
        Column("user_key", "string", True, "HMAC-SHA256 of the user id, hex"),
    ),
    key=("file", "line", "record"),
)

LEDGER = Dataset(
    name="ledger",
    doc="What became of the raw records: each is counted under exactly one disposition, that of the first record "
    "made of it. Where a line gives several records (an order of three items), the further ones are `derived`.",
    columns=(
        Column("file", "string", False),
        Column("kind", "string", False, "query, event, action (of the bulk format), header (of a CSV file), other or unknown"),
        Column("disposition", "string", False, f"one of {DISPOSITIONS}"),
        Column("reason", "string", False, "rule that decided; '' for accepted"),
        Column("records", "bigint", False, "below 0 where `mmse forget` took records out of a disposition"),
        Column("derived", "bigint", False, "further records of raw ones; records + derived is what the outputs hold"),
    ),
    key=("file", "kind", "disposition", "reason"),
    metrics=(
        Metric("records", "coalesce(sum(records), 0)"),
        Metric("derived", "coalesce(sum(derived), 0)"),
        Metric("quarantined_share", _share(f"disposition = 'quarantined' and reason <> '{UNUSED}'"), "unused actions left out"),
        Metric("unused_action_share", _share(f"reason = '{UNUSED}'"), "sound events of actions that no label needs"),
        Metric("no_object_id_share", _NO_ITEM, "of the events"),
        Metric("bot_share", _share("disposition = 'bot'")),
        Metric("duplicate_share", _share("disposition in ('duplicate', 'merged') and kind not in ('action', 'header')")),
        Metric("too_late_share", _share("disposition = 'too_late'")),
    ),
    checks=(
        Check("records", "critical", low=1),
        Check("unaccounted_records", "critical", high=0, doc="raw lines, ledger and committed rows must agree"),
        Check("quarantined_share", "critical", high=0.05),
        Check("quarantined_share", "warning", high=0.01),
        Check("unused_action_share", "warning", high=0.02),
        Check("new_actions", "warning", high=0, doc="names of unknown actions that no day of the 28 before had"),
        Check("no_object_id_share", "critical", high=0.01),
        Check("orphan_event_share", "critical", high=0.3, doc="of the events that name a search: it is in no request"),
        Check("orphan_event_share", "warning", high=0.1),
        Check("bot_share", "warning", high=0.5),
        Check("bot_share:above_week", "warning", low=-0.1, high=0.1),
        Check("duplicate_share:above_week", "warning", high=0.01),
        Check("too_late_share", "warning", high=0.02),
    ),
)
