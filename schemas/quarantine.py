"""Raw records that could not be accepted, and the ledger of what became of every raw record."""

from schemas.declare import Check, Column, Dataset, Metric

DISPOSITIONS = ("accepted", "merged", "duplicate", "bot", "quarantined", "too_late", "erased")

QUARANTINE = Dataset(
    name="quarantine",
    doc="One refused raw record: where it stood and why it was refused, never the record itself.",
    columns=(
        Column("file", "string", False, "path below the raw root"),
        Column("line", "bigint", False, "1-based"),
        Column("kind", "string", False, "query, event or item"),
        Column("reason", "string", False, "a code such as bad_timestamp"),
        Column("field", "string"),
        Column("value", "string", True, "scrubbed, at most 80 characters"),
        Column("sha256", "string", False, "digest of the raw line"),
        Column("excerpt", "string", True, "scrubbed, at most 200 characters"),
    ),
    key=("file", "line"),
)

LEDGER = Dataset(
    name="ledger",
    doc="What became of the raw records: each is counted under exactly one disposition.",
    columns=(
        Column("file", "string", False),
        Column("kind", "string", False, "query, event or item"),
        Column("disposition", "string", False, f"one of {DISPOSITIONS}"),
        Column("reason", "string", False, "rule that decided; '' for accepted"),
        Column("records", "bigint", False),
    ),
    key=("file", "kind", "disposition", "reason"),
    metrics=(
        Metric("records", "coalesce(sum(records), 0)"),
        Metric("quarantined_share", "coalesce(sum(case when disposition = 'quarantined' then records end), 0) / sum(records)"),
        Metric("bot_share", "coalesce(sum(case when disposition = 'bot' then records end), 0) / sum(records)"),
        Metric("duplicate_share", "coalesce(sum(case when disposition in ('duplicate', 'merged') then records end), 0) / sum(records)"),
        Metric("too_late_share", "coalesce(sum(case when disposition = 'too_late' then records end), 0) / sum(records)"),
    ),
    checks=(
        Check("records", "critical", low=1),
        Check("quarantined_share", "critical", high=0.05),
        Check("quarantined_share", "warning", high=0.01),
        Check("bot_share", "warning", high=0.5),
        Check("too_late_share", "warning", high=0.02),
    ),
)
