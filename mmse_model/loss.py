"""The loss of one batch: encodes each distinct item once, then puts the objectives together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from mmse_model.batch import EMPTY, Batch
from mmse_model.config import ObjectiveSettings, StageSettings
from mmse_model.layout import PADDING
from mmse_model.objectives import (
    NO_STAGE,
    Candidates,
    StagePairs,
    Sum,
    hinge_loss,
    membership,
    negative_logits,
    own_negatives,
    random_items,
    slot_levels,
    slot_weights,
    softmax_loss,
    three_part_loss,
)
from mmse_model.ranks import Ranks
from mmse_model.sampling import DistinctItems, distinct_items, log_candidate_weights
from mmse_model.towers import TwoTower


@dataclass(frozen=True)
class StepLoss:
    """`total` carries this process's share of the gradient; `parts` are plain figures over all processes."""

    total: torch.Tensor
    parts: dict[str, float]


@dataclass(frozen=True)
class Hard:
    """The hard negatives of each row, none before the warm-up is over."""

    ids: torch.Tensor
    """(B, H) int64, -1 is empty."""
    scores: torch.Tensor
    """(B, H)."""


class Objective:
    """L = L_retrieval + rank_weight L_rank + title_weight L_title of one batch.

    `own` is N, the own negatives of each row. The first N - H are random items that the ranking loss puts below the
    row's others; the retrieval loss, whose candidates are drawn from one known proposal for all rows, does without them.
    The last `hard` = H are hard negatives, of the retrieval loss alone. Which items they are was settled before any
    batch was drawn: such an item is there with certainty, as the positive is, and no draw stands for others like it. So
    it leaves the row's sampled candidates, whose sum then estimates the sum over all other items, and is added once,
    uncorrected: with weight 1, E[Z-hat] = Z as without hard negatives, and the items with large terms are no longer
    left to chance. Any other weight w adds (w - 1) exp(s) of each to what is estimated.
    """

    def __init__(
        self, stages: tuple[StageSettings, ...], settings: ObjectiveSettings, device: torch.device | str = "cpu",
        own: int = 0, hard: int = 0,
    ) -> None:
        self.settings = settings
        self.weights = {"retrieval": 1.0, "rank": settings.rank_weight, "title": settings.title_weight}
        levels, without = slot_levels(stages, settings.without), settings.without
        known = [n != NO_STAGE for n in levels]
        self.positive = torch.tensor([k and stages[n].positive for k, n in zip(known, levels)], device=device)
        self.unclicked = torch.tensor([k and stages[n].evidence == "examined" for k, n in zip(known, levels)], device=device)
        self.slot_weights = torch.tensor(slot_weights(stages, settings.unclicked_in_retrieval, without), device=device)
        self.random = random_items(stages, without)
        self.own, self.hard = own, hard
        self.pairs = StagePairs(stages, own - hard, without).to(device)

    def __call__(self, model: TwoTower, batch: Batch, ranks: Ranks, progress: float = 1.0) -> StepLoss:
        """The loss of `batch`; with several ranks every one of them must call at once.

        `progress` is the share of all steps that were taken before: hard negatives wait for their warm-up to be over.
        Raises ValueError where the batch has not N own negatives a row.
        """
        if batch.own != self.own:
            raise ValueError(f"batch: {batch.own} own negatives a row; expected {self.own}")
        if not self.mixes_hard(progress):
            batch = batch.first_own(self.own - self.hard)
        items = distinct_items(batch, self.positive)
        titles = [batch.stream_title_queries] if self.settings.title_weight else []
        queries, vectors = model(torch.cat([batch.query, *titles]), items.items)
        queries, vectors = queries.float(), vectors.float()
        candidates = self._candidates(items, vectors, ranks, len(batch.stream_ids))
        sums = self._request_losses(batch, items, queries[: batch.rows], vectors, candidates)
        if titles:
            sums["title"] = self._title_loss(batch, items, queries[batch.rows :], vectors, candidates)
        return self._join(sums, ranks)

    def mixes_hard(self, progress: float) -> bool:
        """Whether hard negatives take part in a step before which that share of all steps was taken."""
        settings = self.settings.hard_negatives
        return settings.weight > 0 and progress >= settings.warmup_share

    def hard_per_row(self, batch: Batch) -> float:
        """Mean number of hard negatives of a row, once they take part."""
        there = batch.own_negatives()[0][:, self.own - self.hard :] != EMPTY
        return float(there.sum(1).float().mean()) if self.mixes_hard(1.0) else 0.0

    def _candidates(self, items: DistinctItems, vectors: torch.Tensor, ranks: Ranks, stream: int) -> Candidates:
        drawn = ranks.total(torch.tensor([items.positives, stream], device=vectors.device)).tolist()
        weights = log_candidate_weights(items, *drawn, correct=self.settings.count_correction)
        own = items.candidates
        return Candidates(ranks.gather(vectors[:own]), ranks.gather(items.ids[:own]), ranks.gather(weights))

    def _request_losses(
        self, batch: Batch, items: DistinctItems, queries: torch.Tensor, vectors: torch.Tensor, candidates: Candidates
    ) -> dict[str, Sum]:
        filled = batch.dense_ids != EMPTY
        random, usable = self._random_items(batch, items)
        places = torch.cat([random, items.slots, items.own], 1)
        scores = torch.einsum("bd,bnd->bn", queries, vectors.index_select(0, places.flatten()).view(*places.shape, -1))
        slots = slice(self.random, self.random + filled.shape[1])
        own_ids, ranked = batch.own_negatives()[0], self.own - self.hard
        hard = Hard(own_ids[:, ranked:], scores[:, slots.stop + ranked :])
        sums = {"retrieval": self._retrieval_loss(batch, queries, scores[:, slots], hard, candidates)}
        if self.settings.rank_weight:
            there = torch.cat([usable, filled, own_ids[:, :ranked] != EMPTY], 1)
            sums["rank"] = self.pairs.loss(scores[:, : slots.stop + ranked], there)
        return sums

    def _retrieval_loss(
        self, batch: Batch, queries: torch.Tensor, own: torch.Tensor, hard: Hard, candidates: Candidates
    ) -> Sum:
        """The global comparison of the slots' scores `own` (B, S) with the candidates and the row's hard negatives."""
        filled, temperature = batch.dense_ids != EMPTY, self.settings.temperature
        weights, shown = self.slot_weights * filled, filled & self.unclicked
        excluded = torch.cat([batch.dense_ids, batch.known_positives, hard.ids], 1)
        if self.settings.retrieval != "softmax":
            scores, out = queries @ candidates.vectors.T, membership(excluded, candidates.ids)
            return self._hinges(own, scores, out, weights, shown, hard)
        negatives = negative_logits(queries, candidates, excluded, temperature)
        if hard.ids.shape[1]:
            logits = own_negatives(hard.scores / temperature, hard.ids != EMPTY)
            negatives = torch.logaddexp(negatives, logits + math.log(self.settings.hard_negatives.weight))
        if self.settings.unclicked_in_retrieval == "negative":
            known = (batch.dense_ids[:, :, None] == batch.known_positives[:, None, :]).any(2)
            negatives = torch.logaddexp(negatives, own_negatives(own / temperature, shown & ~known))
        return softmax_loss(own / temperature, negatives, weights)

    def _hinges(
        self, own: torch.Tensor, scores: torch.Tensor, excluded: torch.Tensor, weights: torch.Tensor, shown: torch.Tensor,
        hard: Hard,
    ) -> Sum:
        """The baselines' losses, with the scores (B, C) of candidates not `excluded` and of hard negatives by their weight."""
        there = (hard.ids != EMPTY) * self.settings.hard_negatives.weight
        counted = torch.cat([~excluded, there], 1).to(scores.dtype)
        scores = torch.cat([scores, hard.scores], 1)
        if self.settings.retrieval == "hinge":
            return hinge_loss(own, scores, counted, weights, self.settings.hinge_margin)
        return three_part_loss(own, scores, counted, weights, shown)

    def _random_items(self, batch: Batch, items: DistinctItems) -> tuple[torch.Tensor, torch.Tensor]:
        """The stream entries that stand for the random stage of each row (B, n), and which of them may (B, n)."""
        rows, device = batch.rows, batch.query.device
        draw = torch.arange(rows * self.random, device=device).view(rows, self.random) % len(batch.stream_ids)
        ids = batch.stream_ids[draw][:, :, None]
        own = (ids == batch.dense_ids[:, None, :]).any(2) | (ids == batch.known_positives[:, None, :]).any(2)
        return items.stream[draw], ~own

    def _title_loss(
        self, batch: Batch, items: DistinctItems, queries: torch.Tensor, vectors: torch.Tensor, candidates: Candidates
    ) -> Sum:
        """Softmax of each pseudo-query on its own stream item; the item itself is masked among the candidates."""
        positive = (queries * vectors.index_select(0, items.stream)).sum(1, keepdim=True) / self.settings.temperature
        negatives = negative_logits(queries, candidates, batch.stream_ids[:, None], self.settings.temperature)
        worded = (batch.stream_title_queries != PADDING).any(1, keepdim=True)
        return softmax_loss(positive, negatives, worded.to(positive.dtype))

    def _join(self, sums: dict[str, Sum], ranks: Ranks) -> StepLoss:
        counts = ranks.total(torch.stack([count for _, count in sums.values()])).clamp_min(1e-12)
        shares = [part / count for (part, _), count in zip(sums.values(), counts)]
        figures = ranks.total(torch.stack(shares)).tolist()
        total = torch.stack([self.weights[name] * share for name, share in zip(sums, shares)]).sum()
        parts = dict(zip(sums, figures))
        return StepLoss(total, {"loss": sum(self.weights[n] * v for n, v in parts.items()), **parts})


def negatives_per_query(batch: Batch, objective: Objective) -> dict[str, float]:
    """Mean candidates per query that are other requests' positives, stream entries or hard, and draws for a title query."""
    items = distinct_items(batch, objective.positive)
    excluded = torch.cat([batch.dense_ids, batch.known_positives], 1)
    positives = torch.unique(batch.dense_ids[(batch.dense_ids != EMPTY) & objective.positive])
    return {
        "in_batch": float((~membership(excluded, positives)).sum(1).float().mean()),
        "stream": float((~membership(excluded, torch.unique(batch.stream_ids))).sum(1).float().mean()),
        "hard": objective.hard_per_row(batch),
        "title": float(items.candidates - 1) if objective.settings.title_weight else 0.0,
    }


__all__ = ["Objective", "StepLoss", "negatives_per_query"]
