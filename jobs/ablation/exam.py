"""What every arm is asked: queries of the test days with what was ordered and clicked, judged queries, the whole catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.ablation.judged import JudgedQueries
from jobs.embed_items import eligible_items
from jobs.evaluate_retrieval import ask, gather_evidence
from jobs.evaluation.graded import read_grades
from jobs.evaluation.questions import TRUTHS, number_queries
from jobs.evaluation.relevance import sample_queries
from jobs.index.encoding import TEXT_COLUMNS
from jobs.runtime.errors import Blocked, InputError
from mmse_model.grains import Grains
from mmse_model.metrics import Judgements, Recall, rank
from mmse_model.towers import TwoTower

if TYPE_CHECKING:
    from jobs.runtime.job import JobContext

QUERIES = 256
"""Scored at a time against every item."""


@dataclass(frozen=True)
class Marks:
    """What a model is worth: `recall` (T, K, Q) by truth, cutoff and query; `judged` (1 + K, J) as `JudgedQueries.marks`."""

    recall: NDArray[np.float32]
    judged: NDArray[np.float32]


@dataclass(frozen=True)
class Exam:
    """Q queries and N items as ids, and what is relevant.

    query_ids (Q, L) and item_ids (N, I) int32; dense_ids (N,); judgements of each truth over the queries; seen (Q,)
    whether training had the query; judged queries where judgments are published.
    """

    query_ids: NDArray[np.int32]
    item_ids: NDArray[np.int32]
    dense_ids: NDArray[np.int64]
    judgements: dict[str, Judgements]
    seen: NDArray[np.bool_]
    judged: JudgedQueries | None = None

    def grade(self, model: TwoTower, ks: Sequence[int], block: int = 1_024) -> Marks:
        """Exact search with the model; NaN where nothing is relevant to a query."""
        recall = np.full((len(TRUTHS), len(ks), len(self.query_ids)), np.nan, np.float32)
        model.eval()
        with torch.inference_mode():
            items = _encode(model.encode_items, self.item_ids, block)
            for part, ranked in self._search(model, self.query_ids, items, ks[-1], block):
                recall[:, :, part] = self._recalls(ranked, ks, part)
            if self.judged is None:
                return Marks(recall, np.zeros((1 + len(ks), 0), np.float32))
            found = [ranked for _, ranked in self._search(model, self.judged.query_ids, items, ks[-1], block)]
        return Marks(recall, self.judged.marks(np.concatenate(found), ks))

    def _search(
        self, model: TwoTower, query_ids: NDArray[np.int32], items: torch.Tensor, k: int, block: int
    ) -> Iterator[tuple[slice, NDArray[np.int64]]]:
        """The k best items of QUERIES queries at a time, and which queries these are."""
        for first in range(0, len(query_ids), QUERIES):
            part = slice(first, first + QUERIES)
            scores = _encode(model.encode_queries, query_ids[part], block) @ items.T
            yield part, rank(scores.numpy(), self.dense_ids, k)[0]

    def _recalls(self, ranked: NDArray[np.int64], ks: Sequence[int], part: slice) -> NDArray[np.float32]:
        asked = np.zeros(len(self.query_ids), bool)
        asked[part] = True
        rows = []
        for truth in TRUTHS:
            judged = self.judgements[truth].select(asked)
            gains = judged.gains(ranked)
            found = np.array([(Recall @ k).from_gains(gains, judged) for k in ks])
            rows.append(np.where(judged.relevant > 0, found, np.nan))
        return np.array(rows, np.float32)


def set_exam(context: JobContext, grains: Grains, max_items: int) -> Exam:
    """Reads queries and catalogue. Raises InputError where the catalogue is larger than `max_items`."""
    items = eligible_items(context.read("items"))
    rows = items.count()
    if rows > max_items:
        raise InputError(f"items dt={context.dt}: {rows:,} available items; expected at most max_items = {max_items:,}")
    candidates = items.select("dense_id", "object_id")
    evidence, graded = gather_evidence(context, candidates), read_grades(context, candidates)
    chosen = sample_queries(evidence.truth, context.config.seed, context.config.evaluate.max_queries)
    texts = [row.query_norm for row in chosen.collect()]
    if not texts:
        raise Blocked(f"impressions of {', '.join(evidence.days.test)}: no query led to a click or an order of an available item")
    questions = ask(context, evidence, number_queries(context.spark, texts), texts)
    table = items.select("dense_id", *TEXT_COLUMNS).orderBy("dense_id").toArrow().combine_chunks()
    columns = [table[name].to_pylist() for name in TEXT_COLUMNS]
    return Exam(
        grains.query_ids(texts), grains.item_ids(*columns), table["dense_id"].to_numpy(), questions.judgements,
        questions.frequency > 0,
        JudgedQueries(grains.query_ids(graded.texts), graded, context.config.evaluate.relevant_grade) if graded.texts else None,
    )


def _encode(encode: Callable[[torch.Tensor], torch.Tensor], ids: NDArray[np.int32], block: int) -> torch.Tensor:
    return torch.cat([encode(part) for part in torch.from_numpy(np.ascontiguousarray(ids)).split(block)])
