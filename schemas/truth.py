"""The simulator's hidden truth. Evaluation may read it; no job that trains may (a test holds this)."""

from schemas.declare import Check, Column, Dataset

TRUTH_REQUESTS = Dataset(
    name="truth_requests",
    doc="Which latent intent stood behind a request.",
    columns=(
        Column("query_id", "string", False),
        Column("intent_id", "bigint", False),
        Column("query_text", "string", False),
        Column("actor", "string", False, "human, or the kind of bot"),
        Column("event_date", "date", False),
    ),
    key=("query_id",),
    checks=(Check("rows", "critical", low=1),),
)

TRUTH_UTILITY = Dataset(
    name="truth_utility",
    doc="How much an item suits an intent: the figures that drive the simulated clicks and purchases.",
    columns=(
        Column("intent_id", "bigint", False),
        Column("object_id", "string", False),
        Column("relevance", "double", False, "0..1, fit of the item to the intent"),
        Column("click_probability", "double", False, "given examination"),
        Column("order_probability", "double", False, "given examination: click, then order"),
        Column("ranker_score", "double", False, "what the production ranker orders by, before the noise of a single request"),
    ),
    key=("intent_id", "object_id"),
    checks=(Check("rows", "critical", low=1),),
)

TRUTH_EXAMINATION = Dataset(
    name="truth_examination",
    doc="Which shown items the simulated user really looked at.",
    columns=(
        Column("query_id", "string", False),
        Column("object_id", "string", False),
        Column("position", "int", False),
        Column("examined", "boolean", False),
        Column("event_date", "date", False),
    ),
    key=("query_id", "object_id"),
    checks=(Check("rows", "critical", low=1),),
)

TRUTH_FAULTS = Dataset(
    name="truth_faults",
    doc="How many faults of each kind were put into the delivery of a day.",
    columns=(
        Column("arrival_date", "date", False),
        Column("kind", "string", False, "query or event"),
        Column("fault", "string", False),
        Column("records", "bigint", False),
    ),
    key=("arrival_date", "kind", "fault"),
)
