"""Per-query metric values, and the release that stands on them."""

from schemas.declare import Check, Column, Dataset, Metric

EVALUATION = Dataset(
    name="evaluation",
    doc="One value of one metric for one query, system and truth; every aggregate derives from these rows.",
    columns=(
        Column("system", "string", False, "mmse, bm25, hybrid, before (the earlier release), popularity, oracle"),
        Column("search", "string", False, "exact or ann"),
        Column("truth", "string", False, "ordered, clicked, or graded by people"),
        Column("metric", "string", False, "a measure of mmse_model.metrics, such as recall@100"),
        Column("query_key", "string", False, "SHA-256 of query_norm: no text in what people read"),
        Column("value", "double", False),
        Column("relevant", "int", False, "relevant items of this query"),
        Column("query_seen", "boolean", False),
    ),
    key=("system", "search", "truth", "metric", "query_key"),
    metrics=(
        Metric("value_out_of_range", "count_if(value < 0 or value > 1 or isnan(value))"),
        Metric("without_relevant_items", "count_if(relevant < 1)"),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("without_relevant_items", "critical", high=0),
        Check("value_out_of_range", "critical", high=0),
    ),
)

RELEASE = Dataset(
    name="release",
    doc="release.json: what is served together, model, items, embeddings, index; runs.json: which run of each.",
    checks=(
        Check("parts_that_disagree", "critical", high=0, doc="parts made from another run than the one published"),
        Check(
            "ordered_recall_drop_over_limit", "critical", high=0,
            doc="fall of ordered recall relative to the release in force, beyond release.max_recall_drop",
        ),
        Check(
            "ann_recall_drop_over_limit", "critical", high=0,
            doc="fall of the index's recall@10 beside exact search, beyond release.max_ann_drop",
        ),
        Check(
            "coverage_drop_over_limit", "critical", high=0,
            doc="fall of the share of the catalogue among the first K of any query, beyond release.max_coverage_drop",
        ),
        Check(
            "catalogue_drop_over_limit", "critical", high=0,
            doc="fall of the number of items in the index, beyond release.max_catalogue_drop",
        ),
    ),
)
