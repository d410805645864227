"""The catalogue, with the dense numbering that every later stage uses."""

from schemas.declare import Check, Column, Dataset, Metric

ITEMS = Dataset(
    name="items",
    doc="One catalogue item as of the day, with its append-only dense id.",
    columns=(
        Column("object_id", "string", False),
        Column("dense_id", "bigint", False, "append-only, never reused; 0-based"),
        Column("locale", "string"),
        Column("title", "string", False),
        Column("brand", "string"),
        Column("category_path", "string", True, "levels joined by ' > '"),
        Column("shop", "string"),
        Column("price", "double"),
        Column("available", "boolean", False),
        Column("valid_from", "timestamp", False, "UTC; first moment the item could be shown"),
        Column("valid_to", "timestamp", True, "UTC; null while listed"),
    ),
    key=("object_id",),
    metrics=(
        Metric("blank_title_share", "avg(cast(trim(title) = '' as double))"),
        Metric("available_share", "avg(cast(available as double))"),
        Metric("price_missing_share", "avg(cast(price is null as double))"),
        Metric("price_median", "percentile_approx(price, 0.5)"),
        Metric("price_not_positive", "count_if(price <= 0)"),
        Metric("dense_ids", "count(distinct dense_id)"),
        Metric("dense_id_gap", "max(dense_id) + 1 - count(*)", "removed items leave gaps; never negative"),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("blank_title_share", "critical", high=0.005),
        Check("available_share", "warning", low=0.5),
        Check("price_missing_share", "warning", high=0.05),
        Check("price_not_positive", "warning", high=0),
        Check("dense_id_gap", "critical", low=0),
    ),
)
