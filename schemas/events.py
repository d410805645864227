"""User events: impressions, clicks, carts, purchases and their undoing."""

from schemas.declare import Check, Column, Dataset, Distribution, Metric

ACTIONS = ("impression", "click", "add_to_cart", "purchase", "remove_from_cart", "refund", "view")

EVENTS = Dataset(
    name="events",
    doc="One user event. `dt` is the arrival day; `event_date` the day it happened.",
    columns=(
        Column("event_id", "string", False, "given, else SHA-256 of the natural key"),
        Column("ts", "timestamp", False, "UTC"),
        Column("query_id", "string", True, "the search it belongs to, where the log says so"),
        Column("session_id", "string"),
        Column("client_id", "string"),
        Column("user_key", "string", True, "HMAC-SHA256 of the user id, hex"),
        Column("key_id", "string"),
        Column("action", "string", False, f"one of {ACTIONS}"),
        Column("object_id", "string", False),
        Column("position", "int", True, "1-based, absolute over pages"),
        Column("quantity", "int"),
        Column("price", "double"),
        Column("order_id", "string"),
        Column("event_date", "date", False),
    ),
    key=("event_id",),
    metrics=(
        Metric("no_query_id_share", "avg(cast(query_id is null as double))"),
        Metric("position_below_one", "count_if(position < 1)"),
        Metric(
            "first_position_share", "coalesce(avg(case when action = 'impression' then cast(position = 1 as double) end), 1)",
            "of the impressions; 1 where the log has none",
        ),
        Metric(
            "no_position_share", "coalesce(avg(case when action = 'impression' then cast(position is null as double) end), 0)",
            "of the impressions; an ordinal below the first position is none",
        ),
        Metric("clicks", "count_if(action = 'click')"),
        Metric("purchases", "count_if(action = 'purchase')"),
        Metric("user_keys_not_hashed", "count_if(length(user_key) != 64)"),
        Metric("hours_covered", "count(distinct hour(ts))"),
    ),
    distributions=(Distribution("by_hour", "hour(ts)", 24, "hours of the day, UTC"),),
    checks=(
        Check("rows", "critical", low=1),
        Check("rows:of_weekday", "critical", low=0.7, high=5, doc="half a day, or several at once"),
        Check("rows:of_weekday", "warning", low=0.8, high=2),
        Check("rows:of_week", "critical", low=0.2, high=5),
        Check("by_hour:missing", "critical", high=0, doc="hours with under a tenth of the least of the days before, 50 or more"),
        Check("first_position_share", "critical", low=1e-4, doc="nobody saw a first position: positions are shifted"),
        Check("first_position_share:of_week", "critical", low=0.5, high=2),
        Check("no_position_share:above_week", "critical", high=0.03, doc="the first positions are below the first: shifted"),
        Check("no_query_id_share", "warning", high=0.2),
        Check("position_below_one", "critical", high=0),
        Check("clicks", "critical", low=1),
        Check("user_keys_not_hashed", "critical", high=0),
        Check("hours_covered", "warning", low=20),
    ),
)
