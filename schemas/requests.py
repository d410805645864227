"""Search requests: one row per query id and arrival day, whatever the raw format was."""

from schemas.declare import Check, Column, Dataset, Distribution, Metric

MAIL = "[a-z0-9._%+-]@[a-z0-9-]+[.][a-z0-9]"
"""Regular expression of what a scrubbed text must not hold any more."""

REQUESTS = Dataset(
    name="requests",
    doc="One search request as the shop answered it. `dt` is the arrival day; `event_date` the day of the search.",
    columns=(
        Column("query_id", "string", False, "given by the log; joins requests with events"),
        Column("ts", "timestamp", False, "time of the search, UTC"),
        Column("query_text", "string", False, "as typed, scrubbed of e-mail, phone and card patterns"),
        Column("query_norm", "string", False, "mmse_model.text.normalise(query_text)"),
        Column("session_id", "string"),
        Column("client_id", "string"),
        Column("user_key", "string", True, "HMAC-SHA256 of the user id, hex"),
        Column("key_id", "string", True, "which key made user_key"),
        Column("locale", "string"),
        Column("page", "int", True, "1-based"),
        Column("page_size", "int"),
        Column("filters", "array<string>", True, "sorted 'name=value' chosen by the user"),
        Column("sort", "string", True, "order chosen by the user; null is the shop's own ranking"),
        Column("hit_ids", "array<string>", True, "object ids in the order shown"),
        Column("sources", "int", False, "raw query documents merged into this row"),
        Column("event_date", "date", False),
    ),
    key=("query_id",),
    metrics=(
        Metric("empty_query_share", "avg(cast(query_norm = '' as double))"),
        Metric("no_hits_share", "avg(cast(coalesce(size(hit_ids), 0) <= 0 as double))"),
        Metric("mean_query_chars", "avg(length(query_norm))"),
        Metric("hours_covered", "count(distinct hour(ts))"),
        Metric("mail_addresses", f"count_if(lower(query_text) rlike '{MAIL}')"),
        Metric("user_keys_not_hashed", "count_if(length(user_key) != 64)"),
    ),
    distributions=(
        Distribution("by_hour", "hour(ts)", 24, "hours of the day, UTC"),
        Distribution("query_length", "cast(least(length(query_norm) / 4, 15) as int)", 16, "normalised characters, by fours"),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("rows:of_weekday", "critical", low=0.7, high=5, doc="half a day, or several at once"),
        Check("rows:of_weekday", "warning", low=0.8, high=2),
        Check("rows:of_week", "critical", low=0.2, high=5),
        Check("by_hour:missing", "critical", high=0, doc="hours with under a tenth of the least of the days before, 50 or more"),
        Check("query_length:psi", "warning", high=0.1),
        Check("empty_query_share", "critical", high=0.05),
        Check("mail_addresses", "critical", high=0),
        Check("user_keys_not_hashed", "critical", high=0),
        Check("no_hits_share", "warning", high=0.5),
        Check("hours_covered", "warning", low=20),
    ),
)
