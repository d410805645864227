"""Negatives that each training tuple has for itself: random ones first, hard ones behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from jobs.tuples.choosing import Chosen, converted_pairs, slot_count
from jobs.tuples.hard_negatives import Mined, mine
from jobs.tuples.own_negatives import OwnNegatives, first_usable, judge_draws
from jobs.tuples.tally import own_negative_facts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext
    from jobs.tuples.proposal import Proposal
    from jobs.tuples.scratch import Scratch


@dataclass(frozen=True)
class RowNegatives:
    """What was found of each kind, kept on disk; None where a kind is not configured.

    random: `query_id, slot, dense_id` (null: no draw was usable), `redrawn`.
    """

    random: DataFrame | None
    hard: Mined | None

    def rows(self) -> DataFrame | None:
        """`query_id, slot, dense_id` of every negative; None where no kind is configured."""
        columns = ("query_id", "slot", "dense_id")
        kinds = [] if self.random is None else [self.random.where("dense_id is not null").select(*columns)]
        kinds += [] if self.hard is None else [self.hard.rows.select(*columns)]
        return reduce(lambda a, b: a.unionByName(b), kinds) if kinds else None

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the kinds that are configured."""
        random = {} if self.random is None else {"own_negatives": own_negative_facts(self.random)}
        return random if self.hard is None else {**random, "hard_negatives": self.hard.facts}


def find_negatives(
    context: JobContext, kept: Scratch, chosen: Chosen, items: DataFrame, popularity: DataFrame, proposal: Proposal
) -> RowNegatives:
    """Draws the random ones and mines the hard ones."""
    settings, slots = context.config.tuples, slot_count(context.config)
    random = draw_random(context, kept, chosen, items, popularity, proposal) if settings.own_negatives.per_tuple else None
    first = slots + settings.own_negatives.per_tuple
    return RowNegatives(random, mine(context, kept, chosen, items, first) if settings.hard_negatives.per_tuple else None)


def draw_random(
    context: JobContext, kept: Scratch, chosen: Chosen, items: DataFrame, popularity: DataFrame, proposal: Proposal
) -> DataFrame:
    """`query_id, slot, dense_id, redrawn` of the configured kinds of random negatives."""
    settings = context.config.tuples.own_negatives
    own = OwnNegatives(settings, context.config.seed, first=slot_count(context.config))
    catalogue = context.manifest("items")
    numbers = catalogue.rows + int(catalogue.metrics["dense_id_gap"])
    by_kind = {
        "uniform": lambda: own.uniform(chosen.heads, items, kept, numbers),
        "popular": lambda: own.popular(chosen.heads, popularity, proposal, kept),
        "category": lambda: own.category(chosen.heads, chosen.slots, items, kept),
    }
    drawn = reduce(lambda a, b: a.unionByName(b), [draws() for kind, draws in by_kind.items() if getattr(settings, kind)])
    judged = judge_draws(drawn, converted_pairs(chosen.candidates), chosen.slots)
    return kept.keep("own", first_usable(judged))
