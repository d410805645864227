"""How the events of a GA4 property are read; the section `ingest.ga4`."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from mmse_model.config import Settings
from schemas.events import ACTIONS

DEFAULT_ACTIONS = {
    "select_item": "click", "view_item": "view", "add_to_cart": "add_to_cart", "remove_from_cart": "remove_from_cart",
    "purchase": "purchase", "refund": "refund",
}


class Ga4Settings(Settings):
    """Which events are searches, lists and actions, and what the address of a results page says."""

    search_events: tuple[str, ...] = Field(
        ("view_search_results",), min_length=1, description="names of events that begin a search"
    )
    list_events: tuple[str, ...] = Field(("view_item_list",), description="names of events that show a list of items")
    search_lists: tuple[str, ...] = Field(
        ("search results", "search_results"),
        description="names or ids of item lists, in lower case, that hold search results; clicks from others become views",
    )
    actions: dict[str, str] = Field(
        DEFAULT_ACTIONS, description="event name -> one of schemas.events.ACTIONS; replaces the default as a whole"
    )
    term_parameters: tuple[str, ...] = Field(
        ("q", "s", "search", "query", "keyword"),
        description="query parameters of page_location that hold the search term where no event parameter does",
    )
    page_parameters: tuple[str, ...] = Field(
        ("page",), description="query parameters of page_location with the number of the results page; above 1 continues a list"
    )
    sort_parameters: tuple[str, ...] = Field(
        ("sort", "order"), description="query parameters of page_location with the order that the user chose"
    )
    filter_parameters: tuple[str, ...] = Field(
        (), description="query parameters of page_location that mean the user filtered the list"
    )
    lists_are_viewports: bool = Field(
        False, description="list events are sent when items come into view: each item is then an impression that was seen"
    )

    @field_validator("search_lists")
    @classmethod
    def _lower(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.strip().lower() for name in names)

    @field_validator("actions")
    @classmethod
    def _known_actions(cls, actions: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(actions.values()) - set(ACTIONS))
        if unknown:
            raise ValueError(f"unknown action {unknown[0]!r}; expected one of {ACTIONS}")
        return actions

    @model_validator(mode="after")
    def _one_role_each(self) -> Ga4Settings:
        names = [*self.search_events, *self.list_events, *self.actions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"event {twice[0]!r} stands twice in search_events, list_events and actions; expected one role each")
        return self
