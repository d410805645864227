"""The `index` section of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmse_model.config import Settings


class DeltaSettings(Settings):
    """When an index of an unchanged model takes in what changed, and when it is built anew."""

    max_deltas: int = Field(6, ge=0, description="days of changes beside the shards; one more, and all are merged into shards")
    max_churn: float = Field(
        0.3, ge=0, description="items added, changed or removed since training, per vector then; beyond it all is built anew"
    )
    max_imbalance_growth: float = Field(1.3, gt=1, description="of the lists' imbalance since training, before it is built anew")
    max_error_growth: float = Field(1.2, gt=1, description="of the mean squared distance to the list's centroid")
    max_codec_growth: float = Field(2.0, gt=1, description="of the codec's mean squared error")
    max_empty_growth: float = Field(0.05, gt=0, description="of the share of lists that are empty")
    max_recall_drop: float = Field(0.02, gt=0, description="of recall@10 beside exact search")


class TuningSettings(Settings):
    """What a search has to find: the cheapest setting of it that does is taken."""

    recall: float = Field(0.95, gt=0, le=1, description="share of the k nearest, by comparing with every item, that is found")
    k: int = Field(100, ge=1, le=1_000, description="hits that it is measured on")
    queries: int = Field(2_000, ge=25, le=8_000, description="of the newest day that choose, by hash; a quarter as many check")
    tolerance: float = Field(
        0.0025, ge=0, le=0.05, description="below the target that is enough: near a codec's limit a little more costs many lists"
    )


class IndexSettings(Settings):
    """The ANN index."""

    codec: Literal["flat", "sq8", "rabitq4", "pq64x4fs+sq8", "auto"] = Field(
        "sq8", description="bytes of a vector of 128 dimensions: flat 512, sq8 128, rabitq4 84, pq64x4fs+sq8 160; auto: by trial"
    )
    max_code_bytes: int | None = Field(None, ge=1, description="of a vector without its id, where codec is auto")
    layout: Literal["items", "lists"] = Field(
        "items", description="what a shard is a range of; lists: a query's lists lie in few shards, codes are written twice"
    )
    lists: int = Field(256, ge=1, description="inverted lists; fewer where a list would get under 39 vectors")
    train_per_list: int = Field(50, ge=39, description="sampled vectors per list that quantizer and codec train on")
    two_level_lists: int = Field(
        1_024, ge=2, description="from so many lists on tasks train them, cell by cell, and assign by way of cells"
    )
    refine_passes: int = Field(4, ge=0, description="Lloyd steps over all lists after the cells were clustered one by one")
    assign_excess: float = Field(
        0.02, gt=0, le=1, description="a vector's mean squared distance to its list's centroid beyond the least, as a share"
    )
    shards: int = Field(2, ge=1, description="at least so many, one Spark task each")
    rows_per_shard: int = Field(1_000_000, ge=1, description="dense ids in one shard at most")
    probes: int | None = Field(None, ge=1, description="lists searched per query; null: tuned")
    refine: int | None = Field(
        None, ge=1, le=64, description="pq64x4fs+sq8: so many times the hits asked for are compared again; null: tuned"
    )
    tuning: TuningSettings = TuningSettings()
    memory_mib: int = Field(2_048, ge=64, description="a build that would need more in the driver or a task is refused")
    verify_queries: int = Field(300, ge=10, description="sampled vectors that are searched again, exactly and by the index")
    delta: DeltaSettings = DeltaSettings()
