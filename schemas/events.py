"""User events: impressions, clicks, carts, purchases and their undoing."""

from schemas.declare import Check, Column, Dataset, Metric

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
        Metric("first_position_share", "avg(case when action = 'impression' then cast(position = 1 as double) end)"),
        Metric("clicks", "count_if(action = 'click')"),
        Metric("purchases", "count_if(action = 'purchase')"),
        Metric("hours_covered", "count(distinct hour(ts))"),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("no_query_id_share", "warning", high=0.2),
        Check("position_below_one", "critical", high=0),
        Check("clicks", "critical", low=1),
        Check("hours_covered", "warning", low=20),
    ),
)
