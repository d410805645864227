"""People who are to be forgotten, and what was erased for them: keyed hashes and counts, never an id."""

from schemas.declare import Check, Column, Dataset, Metric

ALWAYS = "always"
"""The one `dt` of both datasets: each run holds everything up to then."""

IDENTIFIERS = ("user", "client", "session")

SUPPRESSIONS = Dataset(
    name="suppressions",
    doc="One identifier of a forgotten person. Ingest refuses the records that carry it, wherever a raw log still holds them.",
    columns=(
        Column("kind", "string", False, f"one of {IDENTIFIERS}"),
        Column("key_id", "string", False, "which key made the hash"),
        Column("hash", "string", False, "HMAC-SHA256, hex; that of a user is the user_key"),
        Column("erasure", "string", False, "the erasure that added it"),
    ),
    key=("kind", "key_id", "hash"),
    metrics=(Metric("users", "count(distinct case when kind = 'user' then hash end)"),),
)

ERASURES = Dataset(
    name="erasures",
    doc="One run that an erasure rewrote or removed, with its rows before and after.",
    columns=(
        Column("erasure", "string", False, "run id of `mmse forget`"),
        Column("at", "timestamp", False, "when it began, UTC"),
        Column("dataset", "string", False),
        Column("dt", "string", False),
        Column("run", "string", False, "the run that held the people"),
        Column("new_run", "string", True, "what is left of it; null where no entry named it and it was removed"),
        Column("rows_before", "bigint", False),
        Column("rows_after", "bigint", False),
    ),
    key=("erasure", "dataset", "dt", "run"),
    metrics=(Metric("rows_that_came_back", "count_if(rows_after > rows_before)"),),
    checks=(Check("rows_that_came_back", "critical", high=0),),
)
