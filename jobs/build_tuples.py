"""Builds training tuples and the item stream.

A tuple is one search with at least one positive: the query and, slot by slot, the items of each stage of the funnel.
The item stream is a shuffled sample of the catalogue: random negatives for every batch, and titles to search with.

    requests -> splits ─┐
    impressions ────────┴> staged items ─┐
    catalogue ───────────────────────────┴> picked items, slots, caps, places ─> own negatives ─┐
                                                         └> popularity ─> stream entries ───────┼> spelled items
                                                                                                └> tuples, item_stream

Every step is kept on disk and counted. The catalogue is scanned once, for the items that were shown and those that the
stream may draw (and once more for negatives of a tuple's own, where they are configured; hard ones are what the release
before finds).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.runtime.job import Job
from jobs.runtime.main import main
from jobs.tuples.candidates import slot_stages
from jobs.tuples.catalogue import ITEM_TEXT, bloom_filters, wanted_items
from jobs.tuples.choosing import Chosen, choose, converted_pairs, entries_trained_on, positive_pairs, slot_count
from jobs.tuples.guards import Masks, guard
from jobs.tuples.opening import files_not_opened
from jobs.tuples.packing import Shapes, assemble_stream, assemble_tuples, spell_items
from jobs.tuples.placement import number_rows, rows_per_group, writer_options
from jobs.tuples.proposal import Proposal, popularity_of, stream_entries
from jobs.tuples.row_negatives import RowNegatives, find_negatives
from jobs.tuples.scratch import scratch
from jobs.tuples.splits import TRAIN
from jobs.tuples.tally import draws_beside_proposal, frequencies, stream_facts, tuple_facts, tuple_metrics
from jobs.tuples.vocabulary import published_grains
from schemas import ITEM_STREAM, TUPLES
from schemas.tuples import SPLITS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.config import Config
    from jobs.runtime.job import JobContext
    from jobs.tuples.scratch import Scratch
    from mmse_model.grains import Grains


GUARDED = 1_000
"""Training tuples, about so many, whose known positives are counted again after they were written."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn from the catalogue. All frames are kept on disk.

    popularity: items of the training tuples with their positives; entries: of the stream, drawn from `proposal`;
    own: the tuples' own negatives; spelled: the items of all of them, as ids.
    """

    proposal: Proposal
    popularity: DataFrame
    entries: DataFrame
    expected_entries: int
    own: RowNegatives
    spelled: DataFrame


def run(context: JobContext) -> None:
    """Chooses, draws, writes tuples and stream."""
    context.manifest("impressions")
    grains, items = published_grains(context), context.read("items")
    with scratch(context, "tuples") as kept, bloom_filters(context.spark, context.config.spark.conf):
        chosen = choose(context, kept, items)
        drawn = draw(context, kept, chosen, items, grains)
        write_tuples(context, chosen, drawn, grains)
        write_stream(context, chosen, drawn, grains)


def draw(context: JobContext, kept: Scratch, chosen: Chosen, items: DataFrame, grains: Grains) -> Drawn:
    """Measures the proposal, draws the stream and the tuples' own negatives, and spells what was drawn."""
    settings = context.config.item_stream
    popularity = kept.keep("popularity", popularity_of(chosen.slots))
    proposal = Proposal.of(chosen.available, popularity, settings)
    expected = stream_entries(settings, entries_trained_on(context.config, chosen.rows.get(TRAIN, 0)))
    may_be = chosen.picked.where("drawn")
    entries = kept.keep("entries", proposal.draw(may_be, popularity, expected, context.config.seed))
    own = find_negatives(context, kept, chosen, items, popularity, proposal)
    spelled = kept.keep("spelled", spell_items(texts_of(kept, chosen, entries, own.rows(), items), grains))
    return Drawn(proposal, popularity, entries, expected, own, spelled)


def texts_of(kept: Scratch, chosen: Chosen, entries: DataFrame, own: DataFrame | None, items: DataFrame) -> DataFrame:
    """`dense_id, valid_from` and texts of every item in a slot, in the stream or among own negatives, once each."""
    columns = ("dense_id", "valid_from", *ITEM_TEXT)
    wanted = kept.keep("wanted", chosen.slots.select("dense_id").unionByName(entries.select("dense_id")).distinct())
    texts = wanted_items(chosen.picked, wanted).select(*columns)
    if own is None:
        return texts
    others = own.select("dense_id").distinct().join(wanted, "dense_id", "left_anti")
    return texts.unionByName(wanted_items(items, kept.keep("others", others)).select(*columns))


def write_tuples(context: JobContext, chosen: Chosen, drawn: Drawn, grains: Grains) -> None:
    """Packs and writes the tuples with their facts."""
    config, shapes = context.config, shapes_of(context.config, grains)
    rows = assemble_tuples(chosen.heads.drop("split"), spelled_slots(chosen, drawn), grains, shapes)
    converted = None if drawn.own.rows() is None else converted_pairs(chosen.candidates)
    facts = facts_of(config, chosen, drawn, grains)
    every = max(1, chosen.rows.get(TRAIN, 0) // GUARDED)
    masks = Masks(positive_pairs(chosen.candidates), every, config.tuples.known_positives)
    guarded = guard(chosen.requests, drawn.spelled, converted, config.tuples.gap_minutes, masks, config.tuples.max_per_query)

    def measure(written: DataFrame) -> Mapping[str, float]:
        return {**guarded(written), "files_not_opened": files_not_opened(written, facts["shapes"])}

    context.write(
        "tuples", rows, facts=facts, metrics=tuple_metrics(facts), split_by="split",
        options=writer_options(list(TUPLES.packed), chosen.row_group_rows),
        measure=measure,
    )
    context.notes.update({split: chosen.rows.get(split, 0) for split in SPLITS})


def spelled_slots(chosen: Chosen, drawn: Drawn) -> DataFrame:
    """Filled slots and own negatives with their place, the packed ids of their item, its rates and whether it is seen."""
    counts = drawn.popularity.select("dense_id", "positives", F.lit(True).alias("seen"))
    slots = chosen.slots.drop("split", "positive").join(counts, "dense_id", "left")
    known = slots.withColumns({"positives": F.coalesce("positives", F.lit(0)), "seen": F.coalesce("seen", F.lit(False))})
    place = ("_split", "_rank", "_file", "query_id")
    rated = drawn.proposal.with_probability(known).select(
        *place, "last_event_ts", "slot", "dense_id", F.col("share").cast("float").alias("share"),
        F.col("probability").cast("float").alias("probability"), "seen",
    )
    own = drawn.own.rows()
    if own is not None:
        placed = own.join(chosen.heads.select(*place), "query_id")
        nothing = {"share": F.lit(0.0).cast("float"), "probability": F.lit(0.0).cast("float"), "seen": F.lit(False)}
        rated = rated.unionByName(placed.withColumns(nothing), allowMissingColumns=True)
    return rated.join(drawn.spelled.select("dense_id", "item"), "dense_id")


def facts_of(config: Config, chosen: Chosen, drawn: Drawn, grains: Grains) -> dict[str, Any]:
    """Shapes, counts and losses, for the manifest."""
    return {
        "shapes": shapes_of(config, grains).facts(), "slots": [stage.name for stage in slot_stages(config.stages)],
        "positives": drawn.proposal.positives, "grains": grains.layout.to_json(), "row_group_rows": chosen.row_group_rows,
        **tuple_facts(chosen.requests, chosen.candidates, chosen.rows, chosen.slots),
        "in_batch": frequencies(drawn.popularity), **drawn.own.facts(),
    }


def write_stream(context: JobContext, chosen: Chosen, drawn: Drawn, grains: Grains) -> None:
    """Places, packs and writes the item stream with its facts."""
    config = context.config
    numbered = number_rows(drawn.entries, config.seed, ["dense_id", "copy"])
    per_group = rows_per_group(sum(numbered.rows.values()), config.tuples.row_group_rows, config.train.processes)
    rows = assemble_stream(numbered.in_row_groups(per_group), drawn.spelled, grains, config.seed)
    needed = entries_trained_on(config, chosen.rows.get(TRAIN, 0))
    facts = {
        "shapes": shapes_of(config, grains).facts(), "row_group_rows": per_group,
        **stream_facts(drawn.proposal, drawn.expected_entries, needed),
    }
    options = writer_options(list(ITEM_STREAM.packed), per_group)
    beside = draws_beside_proposal(drawn.entries, drawn.expected_entries, drawn.proposal.available)
    manifest = context.write("item_stream", rows, facts=facts, metrics={"draws_beside_proposal": beside}, options=options)
    context.notes["stream"] = manifest.rows


def shapes_of(config: Config, grains: Grains) -> Shapes:
    """The shapes of the packed columns."""
    layout, tuples = grains.layout, config.tuples
    random, hard = tuples.own_negatives.per_tuple, tuples.hard_negatives.per_tuple
    return Shapes(layout.query_length, slot_count(config), layout.item_length, tuples.known_positives, random + hard, hard)


JOB = Job(
    "build_tuples", reads=("items", "requests", "impressions", "vocabulary", "release", "truth_requests"),
    writes=("tuples", "item_stream"), run=run,
    doc="one training tuple per search with a positive, split by time, and a shuffled sample of the catalogue",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
