"""What training publishes, and what is computed from it."""

from schemas.declare import Check, Column, Dataset

MODEL = Dataset(
    name="model",
    doc="A trained pair of towers: model.safetensors, model.json (its configuration), vocabulary.json, history.json.",
    checks=(
        Check("parameters_not_finite", "critical", high=0),
        Check("validation_recall", "warning", low=0.05),
        Check("last_loss", "critical", low=0.0, high=50.0),
    ),
)

EMBEDDINGS = Dataset(
    name="embeddings",
    doc="One unit-norm vector per available item.",
    columns=(
        Column("dense_id", "bigint", False),
        Column("object_id", "string", False),
        Column("vector", "binary", False, "float32 (D,): unit norm"),
        Column("inputs", "bigint", False, "xxhash64 of what the item tower read; under one model, equal ones mean equal vectors"),
    ),
    key=("dense_id",),
    packed={"vector": "<f4"},
    checks=(
        Check("rows", "critical", low=1),
        Check("missing_items", "critical", high=0, doc="available items without a vector"),
        Check("unknown_items", "critical", high=0, doc="vectors without an available item"),
        Check("not_finite", "critical", high=0),
        Check("norm_off_one", "critical", high=0, doc="vectors whose norm is outside 1 +- 1e-3"),
        Check("equal_vectors_share", "warning", high=0.01, doc="vectors that are another's, though the tower read other text"),
        Check("equal_vectors_share", "critical", high=0.1),
        Check("carried_over_off", "critical", high=0, doc="of a sample: vectors that the tower gives otherwise now"),
        Check("mean_pairwise_cosine", "critical", high=0.9, doc="of a sample; collapsed towers point one way"),
        Check("effective_rank", "critical", low=4.0, doc="of a sample"),
        Check(
            "neighbours_kept_same_model", "warning", low=0.9, doc="of a sample's 10 nearest, those of the newest day before too",
            absent="no day before with a hundred of these items, or its model was another",
        ),
        Check(
            "neighbours_kept_new_model", "warning", low=0.2, doc="the same, where another model made the vectors of that day",
            absent="no day before with a hundred of these items, or its model was this one",
        ),
    ),
)

INDEX = Dataset(
    name="index",
    doc="The ANN index: trained.faiss (empty, trained), shard-*.faiss, delta-*.faiss, tombstones-*.ids, index.json.",
    checks=(
        Check("vectors", "critical", low=1),
        Check("ids_missing", "critical", high=0),
        Check("ids_duplicated", "critical", high=0),
        Check("ids_unknown", "critical", high=0),
        Check("self_recall_at_1", "critical", low=0.99, doc="sampled vectors that find their own id, near-ties allowed"),
        Check("recall_at_10_vs_exact", "critical", low=0.8, doc="of sampled vectors, their own id left out"),
        Check("empty_lists_share", "warning", high=0.2),
        Check("recall_below_target", "warning", high=0.02, doc="of index.tuning.recall, on queries that chose nothing"),
        Check("drift", "warning", high=0.8, doc="since training, as a share of what is allowed; beyond 1 it is trained anew"),
    ),
)
