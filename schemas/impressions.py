"""Labelled impressions, and how every conversion was attributed."""

from schemas.declare import Check, Column, Dataset, Metric

IMPRESSIONS = Dataset(
    name="impressions",
    doc="One item shown for one request, with the furthest stage that it reached. `dt` is the day of the search.",
    columns=(
        Column("query_id", "string", False),
        Column("object_id", "string", False),
        Column("request_ts", "timestamp", False),
        Column("stage", "string", True, "a configured stage; null where not examined"),
        Column("position", "int", True, "1-based, absolute over pages"),
        Column("examined", "boolean", False, "examined_ts is known"),
        Column("implied", "boolean", False, "from the hit list or a conversion, not from an impression event"),
        Column("user_refined", "boolean", False, "the user sorted or filtered the list: no click says nothing"),
        Column(
            "attribution_rule", "string", True,
            "rule that gave the furthest conversion, 'given' where it came with the data; null where there is none",
        ),
        Column("examined_ts", "timestamp", True, "earliest event that shows the item was examined"),
        Column("clicked_ts", "timestamp", True, "first click"),
        Column("carted_ts", "timestamp", True, "first cart that was not undone"),
        Column("ordered_ts", "timestamp", True, "first purchase that was not refunded"),
        Column("undone_carts", "array<timestamp>", False, "cart, removal, cart, removal ... by time"),
        Column("undone_orders", "array<timestamp>", False, "purchase, refund, purchase, refund ... by time"),
        Column("event_date", "date", False),
    ),
    key=("query_id", "object_id"),
    metrics=(
        Metric("conversion_before_search", "count_if(least(clicked_ts, carted_ts, ordered_ts) < request_ts)"),
        Metric("position_below_one", "count_if(position < 1)"),
        Metric("ordered", "count(ordered_ts)"),
        Metric("carted", "count(carted_ts)"),
        Metric("clicked", "count(clicked_ts)"),
        Metric("examined", "count_if(examined)"),
        Metric("implied_share", "avg(cast(implied as double))"),
        Metric("click_rate", "avg(cast(clicked_ts is not null as double))"),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("unknown_stages", "critical", high=0, doc="impressions in a stage that is not configured"),
        Check("clicks_at:psi", "critical", high=0.25),
        Check("clicks_at:psi", "warning", high=0.1),
        Check("click_rate:of_week", "warning", low=0.5, high=2),
        Check("unclicked_not_examined", "critical", high=0, doc="in a stage of evidence 'examined', but not examined"),
        Check("unclicked_of_refined", "critical", high=0, doc="in such a stage, though the user sorted or filtered"),
        Check("conversion_before_search", "critical", high=0),
        Check("position_below_one", "critical", high=0),
        Check("nothing_clicked", "critical", high=0, doc="1 where none of a thousand impressions or more was clicked"),
        Check("clicked", "warning", low=1),
        Check("ordered", "warning", low=1),
        Check("click_rate", "warning", low=0.001, high=0.6),
    ),
)

ATTRIBUTION_RULES = (
    "own_query", "session_last_touch", "last_cart", "last_clicked_query", "repeated_order", "none",
)

ATTRIBUTIONS = Dataset(
    name="attributions",
    doc="One click, cart or purchase of the label window, with the request it was attributed to, or none.",
    columns=(
        Column("event_id", "string", False),
        Column("ts", "timestamp", False),
        Column("action", "string", False),
        Column("object_id", "string", False),
        Column("position", "int", True, "as the event says it; 1-based, absolute over pages"),
        Column("rule", "string", False, f"one of {ATTRIBUTION_RULES}"),
        Column("query_id", "string", True, "null where the rule is none or repeated_order"),
        Column("undone_ts", "timestamp", True, "the refund or removal that undid it before the label was closed"),
        Column("undone", "boolean", False, "undone_ts is known"),
        Column("event_date", "date", False),
    ),
    key=("event_id",),
    metrics=(
        Metric("unattributed_share", "avg(cast(rule = 'none' as double))"),
        Metric("attributed", "count_if(query_id is not null)"),
        Metric("unattributed", "count_if(rule = 'none')"),
        Metric("repeated_orders", "count_if(rule = 'repeated_order')"),
        Metric(
            "rule_without_request", "count_if((query_id is null) != (rule in ('none', 'repeated_order')))",
            "a rule names a request, or there is none",
        ),
    ),
    checks=(
        Check(
            "conversions_unaccounted", "critical", low=0, high=0,
            doc="clicks, carts and purchases of the day in `events`, minus attributed, unattributed and repeated ones",
        ),
        Check("rule_without_request", "critical", high=0),
        Check("unattributed_share", "warning", high=0.3),
    ),
)
