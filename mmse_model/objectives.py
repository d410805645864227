"""The losses: retrieval (global comparison), ranking (local comparison), title pairs.

    L = L_retrieval + rank_weight * L_rank + title_weight * L_title

Our reading of arXiv 2303.11009 (#2, #5). Each loss is a sum and a count, so that several processes can divide by
the counts of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mmse_model.batch import EMPTY
from mmse_model.config import StageSettings

NO_STAGE = -1
"""Level of a slot whose items take part in no loss."""
THREE_PARTS = (0.9, 0.55, 0.2)
"""Thresholds of the three-part hinge: bought items above, shown ones below, random ones below (arXiv 1907.00937)."""
Sum = tuple[torch.Tensor, torch.Tensor]
"""A loss as (sum of weighted terms, sum of weights), both scalars."""


@dataclass(frozen=True)
class Candidates:
    """What every query of a step is compared with: C distinct items, those of other processes behind."""

    vectors: torch.Tensor
    """(C, D)."""
    ids: torch.Tensor
    """(C,) int64; an item that two processes hold stands twice, each with its own weight."""
    log_weights: torch.Tensor
    """(C,): log m_j - log c_j (mmse_model.sampling)."""


def negative_logits(
    queries: torch.Tensor, candidates: Candidates, excluded: torch.Tensor, temperature: float
) -> torch.Tensor:
    """log sum_j exp(s_j / temperature + log m_j - log c_j) over the candidates of each query: (B,).

    `excluded` (B, X) int64 holds ids that are no negatives of their row, -1 for none. A row without any
    negative gets a number so low that its softmax loss is 0.
    """
    logits = queries @ candidates.vectors.T / temperature + candidates.log_weights
    masked = logits.masked_fill(membership(excluded, candidates.ids), torch.finfo(logits.dtype).min / 2)
    return torch.logsumexp(masked.float(), 1)


def membership(excluded: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """(B, C) bool: whether `ids` (C,) is among the row's `excluded` (B, X); -1 excludes nothing."""
    ordered, order = ids.sort(stable=True)
    mask = torch.zeros(len(excluded), len(ids) + 1, dtype=torch.bool, device=ids.device)
    start = torch.searchsorted(ordered, excluded)
    # An id may stand several times (once per process): step through its run of equals.
    while True:
        inside = start < len(ids)
        at = start.clamp_max(len(ids) - 1)
        found = inside & (ordered[at] == excluded) & (excluded != EMPTY)
        if not bool(found.any()):
            return mask[:, :-1]
        mask.scatter_(1, torch.where(found, order[at], len(ids)), True)
        start = torch.where(found, start + 1, len(ids))


def softmax_loss(positive: torch.Tensor, negatives: torch.Tensor, weights: torch.Tensor) -> Sum:
    """Softmax cross-entropy of each positive against its row's negatives, other positives left out.

    `positive` (B, S) are logits s / temperature, uncorrected because a positive is always present (arXiv
    2507.09331); `negatives` (B,) is `negative_logits`; `weights` (B, S) is 0 where a slot holds no positive:
    -log(e^p / (e^p + e^n)) = softplus(n - p).
    """
    losses = F.softplus(negatives[:, None] - positive.float())
    return (losses * weights).sum(), weights.sum()


def hinge_loss(
    positive: torch.Tensor, scores: torch.Tensor, counted: torch.Tensor, weights: torch.Tensor, margin: float
) -> Sum:
    """max(0, margin - s + s_j) of each positive, averaged over the candidates j of its row (DPSR, arXiv 2006.02282).

    `positive` (B, S) and `scores` (B, C) are similarities, `counted` (B, C) is how much a candidate counts in the mean, 0
    where it is no negative of the row, `weights` (B, S) is 0 where a slot holds no positive. A row without negatives has
    no loss.
    """
    hinge = F.relu(margin - positive[:, :, None] + scores[:, None, :]) * counted[:, None, :]
    mean = hinge.sum(2) / counted.sum(1, keepdim=True).clamp_min(1e-12)
    return (mean * weights).sum(), weights.sum()


def three_part_loss(
    own: torch.Tensor, scores: torch.Tensor, counted: torch.Tensor, weights: torch.Tensor, shown: torch.Tensor
) -> Sum:
    """Squared hinges: positives above 0.9, what was shown in vain below 0.55, random items below 0.2.

    Amazon's three-part hinge (Nigam et al., KDD 2019, arXiv 1907.00937) with our positives for "purchased". `own` (B, S),
    `scores` (B, C) and `counted` (B, C) as in `hinge_loss`; `weights` (B, S) of positives, `shown` (B, S) bool marks
    the second part. Each part is a mean over the row; a row without a positive has no loss.
    """
    high, middle, low = THREE_PARTS
    above = F.relu(high - own).square() * weights
    between = F.relu(own - middle).square() * shown
    below = F.relu(scores - low).square() * counted
    counts = weights.sum(1), shown.sum(1).clamp_min(1), counted.sum(1).clamp_min(1e-12)
    rows = above.sum(1) / counts[0].clamp_min(1e-12) + between.sum(1) / counts[1] + below.sum(1) / counts[2]
    there = counts[0] > 0
    return (rows * there).sum(), there.sum().to(own.dtype)


def own_negatives(logits: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """log sum exp over the slots (B, S) bool that are negatives of their own row: (B,); they need no correction."""
    masked = logits.masked_fill(~slots, torch.finfo(logits.dtype).min / 2)
    return torch.logsumexp(masked.float(), 1)


class StagePairs:
    """All pairs of slots with a stage above the other, and the margin between those two stages.

    `own` is the number of random items of a row's own: they are of the lowest stage, as the random items are.
    """

    def __init__(self, stages: tuple[StageSettings, ...], own: int = 0, without: tuple[str, ...] = ()) -> None:
        random = random_items(stages, without)
        levels = torch.tensor([0] * random + slot_levels(stages, without) + [0] * own)
        margins = torch.tensor([0.0 if s.name in without else s.margin for s in stages]).cumsum(0)
        above = (levels[:, None] > levels[None, :]) & (levels[None, :] != NO_STAGE)
        self.high, self.low = above.nonzero(as_tuple=True)
        self.margins = margins[levels[self.high]] - margins[levels[self.low]]

    def loss(self, scores: torch.Tensor, filled: torch.Tensor) -> Sum:
        """Hinge `max(0, margin - (s_high - s_low))`, averaged per request, then over the requests with a pair.

        `scores` and `filled`, (B, n + S + `own`), begin with the n random items and end with the row's own. The margin
        between stages that are no neighbours is the sum of the margins of the gaps between them.
        """
        pairs = filled[:, self.high] & filled[:, self.low]
        hinge = F.relu(self.margins - (scores[:, self.high] - scores[:, self.low])) * pairs
        count = pairs.sum(1)
        return (hinge.sum(1) / count.clamp_min(1)).sum(), (count > 0).sum().to(scores.dtype)

    def to(self, device: torch.device | str) -> StagePairs:
        """The same pairs on another device, in place."""
        self.high, self.low, self.margins = (t.to(device) for t in (self.high, self.low, self.margins))
        return self


def slot_levels(stages: tuple[StageSettings, ...], without: tuple[str, ...] = ()) -> list[int]:
    """The level (place in the list of stages) of every slot of a tuple; stages from the stream have none.

    A stage of `without` counts as the next one below that is not of them: an order is a click, too, and a click an item
    that was looked at. Below is no other stage of impressions: NO_STAGE.
    """
    level, levels = NO_STAGE, []
    for n, stage in enumerate(stages):
        if stage.source == "impression":
            level = level if stage.name in without else n
            levels += [level] * stage.per_tuple
    return levels


def random_items(stages: tuple[StageSettings, ...], without: tuple[str, ...] = ()) -> int:
    """Stream entries that stand for the random stage of each request in the ranking loss."""
    return sum(stage.per_tuple for stage in stages if stage.source == "stream" and stage.name not in without)


def slot_weights(stages: tuple[StageSettings, ...], unclicked: str, without: tuple[str, ...] = ()) -> list[float]:
    """Weight of each slot's item as a positive of the retrieval loss; 0 for those that are none.

    `unclicked` = "positive" adds the stages of examined items that were not acted upon.
    """
    taken = [s.positive or (unclicked == "positive" and s.evidence == "examined") for s in stages]
    return [stages[n].weight * taken[n] if n != NO_STAGE else 0.0 for n in slot_levels(stages, without)]


__all__ = [
    "NO_STAGE", "Candidates", "StagePairs", "Sum", "hinge_loss", "membership", "negative_logits", "own_negatives", "random_items",
    "slot_levels", "slot_weights", "softmax_loss",
    "three_part_loss",
]
