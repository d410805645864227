"""The frozen vocabulary: the tokens of each text grain that have a row of their own."""

from schemas.declare import Check, Column, Dataset, Metric

WORD_GRAIN = "word"
TEXT_GRAINS = (WORD_GRAIN, "bigram", "trigram")
ATTRIBUTE_GRAIN = "attribute"
GRAINS = (*TEXT_GRAINS, ATTRIBUTE_GRAIN)

VOCABULARY = Dataset(
    name="vocabulary",
    doc="One known token; every other token is hashed into the bins of its grain.",
    columns=(
        Column("grain", "string", False, f"one of {GRAINS}"),
        Column("token", "string", False),
        Column("rank", "bigint", False, "0-based by (count descending, token), within the grain"),
        Column("count", "bigint", False),
    ),
    key=("grain", "token"),
    metrics=tuple(Metric(f"{g}s", f"count_if(grain = '{g}')") for g in GRAINS),
    checks=(
        Check("rows", "critical", low=1),
        Check("words", "critical", low=1),
    ),
)
