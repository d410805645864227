"""Negatives that each training tuple has for itself: keys below `tuples`."""

from __future__ import annotations

from pydantic import Field, model_validator

from mmse_model.config import Settings


class OwnNegativeSettings(Settings):
    """Random items of each training tuple's own, beside the item stream that all share; 0 draws none of a kind."""

    uniform: int = Field(0, ge=0, le=16, description="from the whole catalogue")
    popular: int = Field(0, ge=0, le=16, description="in proportion to popularity^item_stream.popularity_alpha")
    category: int = Field(0, ge=0, le=16, description="from the category of the tuple's furthest item")
    draws: int = Field(4, ge=1, le=16, description="tries per item: one that the query led to a click on is drawn again")
    category_items: int = Field(1_024, ge=1, le=65_536, description="items of a category that are drawn from, by hash")

    @property
    def per_tuple(self) -> int:
        """N: own negatives of one tuple."""
        return self.uniform + self.popular + self.category


class HardNegativeSettings(Settings):
    """Items that the release before ranks high for the query of a training tuple; needs an earlier day's release."""

    per_tuple: int = Field(0, ge=0, le=16, description="H, the last of a tuple's own negatives; 0 mines none")
    rank_from: int = Field(11, ge=1, description="first rank that is taken: above it stand items that were wanted, but not shown")
    rank_to: int = Field(101, ge=2, le=1_001, description="first rank that is not taken")
    relative_margin: float = Field(
        0.05, ge=0, lt=1, description="how far below the lowest score of the tuple's positives, as a share of it"
    )

    @model_validator(mode="after")
    def _window(self) -> HardNegativeSettings:
        if self.rank_to - self.rank_from < max(1, self.per_tuple):
            raise ValueError(
                f"rank_from = {self.rank_from}, rank_to = {self.rank_to}: expected a window of at least "
                f"{max(1, self.per_tuple)} ranks, as many as per_tuple"
            )
        return self
