"""The catalogue, with the dense numbering that every later stage uses."""

from dataclasses import replace

from schemas.declare import Check, Column, Dataset, Distribution, Metric
from schemas.quarantine import LEDGER, QUARANTINE

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
        Metric("dense_id_gap", "max(dense_id) + 1 - count(*)", "removed items leave gaps; never negative"),
    ),
    distributions=(
        Distribution(
            "price_octave", "cast(least(greatest(log2(price), 0), 15) as int)", 16,
            "below 2, 4, 8 ...; all from 32,768 on together",
        ),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("rows:of_day_before", "critical", low=0.95, doc="a part of the catalogue is missing"),
        Check("rows:of_day_before", "warning", low=0.98, high=1.1),
        Check("price_median:of_day_before", "critical", low=0.5, high=2, doc="another unit, such as cents"),
        Check("price_octave:psi", "warning", high=0.1),
        Check("blank_title_share", "critical", high=0.005),
        Check("available_share", "warning", low=0.5),
        Check("price_missing_share", "warning", high=0.05),
        Check("price_not_positive", "warning", high=0),
        Check("dense_id_gap", "critical", low=0),
    ),
)

NUMBERING = Dataset(
    name="numbering",
    doc="Every object id that was ever in the catalogue, with its dense id; a later day's numbering begins with this one.",
    columns=(
        Column("object_id", "string", False),
        Column("dense_id", "bigint", False, "append-only, never reused; 0-based"),
    ),
    key=("object_id",),
    metrics=(
        Metric("gaps", "max(dense_id) + 1 - count(distinct dense_id)", "numbers of the range that nobody has, or two have"),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("gaps", "critical", low=0, high=0),
    ),
)

ITEM_QUARANTINE = replace(
    QUARANTINE, name="item_quarantine", doc="One refused catalogue line; columns as in quarantine, without people.",
    columns=tuple(c for c in QUARANTINE.columns if c.name not in ("query_id", "session_id", "client_id", "user_key")),
)

ITEM_LEDGER = replace(
    LEDGER, name="item_ledger", doc="What became of the catalogue's lines; columns as in ledger.",
    metrics=(
        Metric("records", "coalesce(sum(records), 0)"),
        Metric("quarantined_share", "coalesce(sum(case when disposition = 'quarantined' then records end), 0) / sum(records)"),
    ),
    checks=(
        Check("records", "critical", low=1),
        Check("quarantined_share", "critical", high=0.05),
        Check("quarantined_share", "warning", high=0.01),
        Check("unaccounted_records", "critical", low=0, high=0),
    ),
)
