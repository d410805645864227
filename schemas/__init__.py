"""Every dataset of mmse, declared once: columns, types, keys, metrics and checks."""

from schemas.declare import Check, Column, Dataset, Distribution, Metric
from schemas.erasures import ERASURES, SUPPRESSIONS
from schemas.evaluation import EVALUATION, RELEASE
from schemas.events import EVENTS
from schemas.impressions import ATTRIBUTIONS, IMPRESSIONS
from schemas.items import ITEM_LEDGER, ITEM_QUARANTINE, ITEMS, NUMBERING
from schemas.judgments import JUDGMENT_LEDGER, JUDGMENT_QUARANTINE, JUDGMENTS
from schemas.model import EMBEDDINGS, INDEX, MODEL
from schemas.quarantine import LEDGER, QUARANTINE
from schemas.requests import REQUESTS
from schemas.truth import TRUTH_EXAMINATION, TRUTH_FAULTS, TRUTH_REQUESTS, TRUTH_UTILITY
from schemas.tuples import ITEM_STREAM, TUPLES
from schemas.vocabulary import VOCABULARY

DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        REQUESTS, EVENTS, QUARANTINE, LEDGER, ITEMS, NUMBERING, ITEM_QUARANTINE, ITEM_LEDGER,
        IMPRESSIONS, ATTRIBUTIONS, VOCABULARY, JUDGMENTS, JUDGMENT_QUARANTINE, JUDGMENT_LEDGER,
        TUPLES, ITEM_STREAM, MODEL, EMBEDDINGS, INDEX, EVALUATION, RELEASE,
        TRUTH_REQUESTS, TRUTH_UTILITY, TRUTH_EXAMINATION, TRUTH_FAULTS, SUPPRESSIONS, ERASURES,
    )
}

__all__ = ["DATASETS", "Check", "Column", "Dataset", "Distribution", "Metric", *sorted(
    name for name, value in globals().items() if isinstance(value, Dataset)
)]
