"""What people's grades say of an arm, where judgments are published: nDCG@10, and recall of what they graded as relevant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.evaluation.graded import GAIN, Graded
from mmse_model.metrics import Judgements, Recall


@dataclass(frozen=True)
class JudgedQueries:
    """J judged queries: their ids (J, L) int32, the grades, and the lowest grade that counts as relevant."""

    query_ids: NDArray[np.int32]
    graded: Graded
    grade: float

    def marks(self, ranked: NDArray[np.int64], ks: Sequence[int]) -> NDArray[np.float32]:
        """(1 + K, J): nDCG@10 over the grades, then recall at every k; NaN where a query has nothing to be found.

        `ranked` (J, ks[-1]) are dense ids, best first.
        """
        relevant = self.graded.at_least(self.grade)
        rows = [GAIN.per_query(ranked, self.graded.judgements), *((Recall @ k).per_query(ranked, relevant) for k in ks)]
        judged = [_asked(self.graded.judgements), *[_asked(relevant)] * len(ks)]
        return np.where(judged, rows, np.nan).astype(np.float32)


def measure_names(ks: Sequence[int]) -> tuple[str, ...]:
    """The measures of `marks`, in order."""
    return (str(GAIN), *(str(Recall @ k) for k in ks))


def _asked(judgements: Judgements) -> NDArray[np.bool_]:
    return judgements.relevant > 0
