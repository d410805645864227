"""Judgments: how well an item answers a query, as people or a test collection graded it; for evaluation."""

from dataclasses import replace

from schemas.declare import Check, Column, Dataset, Metric
from schemas.items import ITEM_LEDGER, ITEM_QUARANTINE

JUDGMENTS = Dataset(
    name="judgments",
    doc="One grade of a query and an item. Where files give several, the highest grade stands.",
    columns=(
        Column("query_text", "string", False, "as given, scrubbed of e-mail, phone and card patterns"),
        Column("query_norm", "string", False, "mmse_model.text.normalise(query_text)"),
        Column("object_id", "string", False),
        Column("grade", "double", False, "within judgments.lowest_grade and judgments.highest_grade"),
        Column("locale", "string", False, "'' where unknown"),
        Column("source", "string", True, "who judged, where known"),
    ),
    key=("query_norm", "object_id", "locale"),
    metrics=(
        Metric("queries", "count(distinct query_norm, locale)"),
        Metric("objects", "count(distinct object_id)"),
        Metric("grades", "count(distinct grade)"),
        Metric("mean_grade", "avg(grade)"),
        Metric("lowest_grade", "min(grade)"),
        Metric("highest_grade", "max(grade)"),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("grades", "warning", low=2, doc="one grade alone tells no item from another"),
    ),
)

JUDGMENT_QUARANTINE = replace(
    ITEM_QUARANTINE, name="judgment_quarantine", doc="One refused line of a file of judgments; columns as in item_quarantine."
)

JUDGMENT_LEDGER = replace(
    ITEM_LEDGER, name="judgment_ledger", doc="What became of the lines of the files of judgments; columns as in ledger."
)
