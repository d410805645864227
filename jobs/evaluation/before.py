"""The release before: what the searches of the test days would find with the model and index that are still served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.evaluation.comparison import Run
from jobs.release_reader import open_release
from jobs.runtime.errors import InputError
from mmse_model.metrics import rank

if TYPE_CHECKING:
    from jobs.evaluation.systems import LeftOut
    from jobs.runtime.job import JobContext

SYSTEM = "before"


def before_run(context: JobContext, texts: Sequence[str], left_out: LeftOut) -> list[Run]:
    """The newest release of an earlier day, as it is served: its model, its index, the items of its day.

    Dense ids last from day to day, so that its items are today's; one that nobody can retrieve any more is a place lost,
    as it would be in the shop, and one that is new today it cannot find.
    """
    days = [day for day in context.entry.days("release") if day < context.dt]
    if not days:
        left_out[SYSTEM] = "no earlier day has a release"
        return []
    context.manifest("release", days[-1])
    try:
        retriever = open_release(context.config, context.entry, days[-1]).retriever
    except InputError as error:
        left_out[SYSTEM] = str(error)
        return []
    depth = context.config.evaluate.ks[-1]
    ids, scores = retriever.search(texts, depth)
    return [Run(SYSTEM, "ann", rank(scores, ids, depth)[0])]
