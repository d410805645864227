"""The section of the JDsearch loader."""

from __future__ import annotations

from pydantic import Field

from mmse_model.config import Settings


class JdSearchSettings(Settings):
    """The public JDsearch files, which come with their labels and without times."""

    searches: tuple[str, ...] = Field(("user_behavior_data*",), min_length=1, description="names of search files, as patterns")
    products: tuple[str, ...] = Field(("product_meta_data*",), min_length=1, description="names of product files, as patterns")
    days: int = Field(
        8, ge=1, description="days ending at the date that searches are spread over by hash: the data has no times"
    )
