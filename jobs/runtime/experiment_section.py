"""The section of the simulated online experiment."""

from __future__ import annotations

from pydantic import Field

from mmse_model.config import Settings


class ExperimentSettings(Settings):
    """What `mmse experiment` replays, and how it is judged."""

    candidates: int | None = Field(
        None, ge=1, description="items that a release retrieves per query; null: as many as the market's ranker takes"
    )
    max_users: int = Field(50_000, ge=2, description="people of the replayed days, chosen by hash: bounds the memory")
    copies: int = Field(1, ge=1, le=1_000, description="how often everybody comes, each time assigned and drawn anew")
    looks: int = Field(20, ge=1, description="times that the sequential test looks at the figures, evenly over users")
    alpha: float = Field(0.05, gt=0, lt=0.5, description="of each test, two-sided")
