"""Training tuples and the item stream: fixed shapes, packed into binary columns.

A packed column holds one flat little-endian numpy array per row. Its shape is written in
the manifest (`facts.shapes`), because it follows from the configuration.
"""

from schemas.declare import Check, Column, Dataset, Metric

SPLITS = ("train", "validation", "test")

TUPLES = Dataset(
    name="tuples",
    doc="One search request with at least one positive: query grains, the items of each stage, masks for the loss.",
    columns=(
        Column("query_id", "string", False),
        Column("ts", "timestamp", False, "time of the search, UTC"),
        Column("query_norm", "string", False),
        Column("split", "string", False, f"one of {SPLITS}"),
        Column("query", "binary", False, "int32 (Q,): query grain ids, 0 is padding"),
        Column("dense_ids", "binary", False, "int64 (S,): items by stage slot, -1 is empty"),
        Column("items", "binary", False, "int32 (S, I): item grain ids, 0 is padding"),
        Column("shares", "binary", False, "float32 (S, 2): share among in-batch positives, stream probability"),
        Column("item_seen", "binary", False, "uint8 (S,): 1 where the item stands in a slot of any training tuple"),
        Column("known_positives", "binary", False, "int64 (P,): positives of the same query_norm, -1 is empty"),
        Column("negative_ids", "binary", False, "int64 (N,): negatives of this tuple alone, the hard ones last, -1 is empty"),
        Column("negatives", "binary", False, "int32 (N, I): their grain ids"),
        Column("last_event_ts", "timestamp", False, "latest event that any label of this row rests on"),
        Column("query_seen", "boolean", False, "query_norm occurs among the training requests"),
        Column("held_out", "boolean", False, "of a query or intent that is kept out of training"),
    ),
    key=("query_id",),
    packed={
        "query": "<i4", "dense_ids": "<i8", "items": "<i4", "shares": "<f4", "item_seen": "<u1",
        "known_positives": "<i8", "negative_ids": "<i8", "negatives": "<i4",
    },
    metrics=(
        Metric("train_rows", "count_if(split = 'train')"),
        Metric("validation_rows", "count_if(split = 'validation')"),
        Metric("test_rows", "count_if(split = 'test')"),
    ),
    checks=(
        Check("train_rows", "critical", low=1),
        Check("validation_rows", "critical", low=1),
        Check("train_rows:of_week", "warning", low=0.5, high=2),
        Check("unknown_item_share", "critical", high=0.05, doc="staged items that the catalogue does not have"),
        Check("unknown_item_share", "warning", high=0.01),
        Check("stage_mix:psi", "critical", high=0.25, doc="filled training slots by stage"),
        Check("stage_mix:psi", "warning", high=0.1),
        Check("train_events_after_cut", "critical", high=0, doc="a training label rests on an event after the cut"),
        Check("sessions_on_both_sides", "critical", high=0, doc="sessions with tuples in two splits"),
        Check("held_out_in_training", "critical", high=0, doc="training tuples of a query or intent that is held out"),
        Check("items_from_the_future", "critical", high=0, doc="items listed after the search they stand in a tuple of"),
        Check(
            "positives_unmasked", "critical", high=0,
            doc="of sampled queries: training tuples that do not know the query's positives, which would count as negatives",
        ),
        Check("queries_over_cap", "critical", high=0, doc="queries with more training tuples than tuples.max_per_query"),
        Check("head_query_share", "warning", high=0.5, doc="of the training tuples, those of the 100 most frequent queries"),
        Check("files_not_opened", "critical", high=0, doc="of a file per split, those that the trainer's reader refuses"),
        Check(
            "positives_among_own_negatives", "critical", high=0,
            doc="items that the same query led to a click on, among a tuple's own negatives",
        ),
    ),
)

ITEM_STREAM = Dataset(
    name="item_stream",
    doc="A shuffled sample of the catalogue drawn from the configured proposal; random items and title pairs come from it.",
    columns=(
        Column("dense_id", "bigint", False),
        Column("copy", "int", False, "0-based draw of this item"),
        Column("item", "binary", False, "int32 (I,): item grain ids"),
        Column("title_query", "binary", False, "int32 (Q,): a span or subset of the title as a pseudo-query"),
        Column("share", "float", False, "share among in-batch positives"),
        Column("probability", "float", False, "of being one stream draw"),
    ),
    key=("dense_id", "copy"),
    packed={"item": "<i4", "title_query": "<i4"},
    metrics=(
        Metric("distinct_items", "approx_count_distinct(dense_id)"),
        Metric("probability_not_positive", "count_if(probability <= 0)"),
        Metric("most_drawn_share", "(max(copy) + 1) / count(*)", "copies of the item that is drawn most"),
    ),
    checks=(
        Check("rows", "critical", low=1),
        Check("probability_not_positive", "critical", high=0),
        Check("draws_beside_proposal", "critical", low=0.5, high=2, doc="1 where items are drawn as often as proposed"),
        Check("draws_beside_proposal", "warning", low=0.9, high=1.1),
        Check("most_drawn_share", "warning", high=0.05),
    ),
)
