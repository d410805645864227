"""Settings of the market simulator. The defaults are the frozen market that every published figure rests on."""

from __future__ import annotations

from pydantic import Field, model_validator

from mmse_model.config import Settings


class FaultSettings(Settings):
    """Shares of records that the delivery damages; all 0 gives the clean stream. A record has at most one of them."""

    duplicate_same_day: float = Field(0.006, ge=0, le=0.5, description="events delivered twice on one day")
    duplicate_next_day: float = Field(0.004, ge=0, le=0.5, description="events delivered again a day later")
    request_twice: float = Field(0.04, ge=0, le=0.5, description="requests logged by client and server, each in part")
    late: float = Field(0.01, ge=0, le=0.5, description="records that arrive 1-3 days after they happened")
    too_late: float = Field(0.002, ge=0, le=0.5, description="records that arrive 4-6 days after they happened")
    lost_request: float = Field(0.01, ge=0, le=0.5, description="requests never delivered; their events are orphans")
    bad_row: float = Field(0.003, ge=0, le=0.5, description="not JSON, or a required field missing or impossible")
    unknown_action: float = Field(0.0005, ge=0, le=0.5, description="events whose action has a name nobody knows")

    @model_validator(mode="after")
    def _at_most_one_each(self) -> FaultSettings:
        total = sum(self.model_dump().values())
        if total > 1:
            raise ValueError(f"faults: the shares add up to {total:.3f}; expected at most 1")
        return self


class BotSettings(Settings):
    """Requests of each kind of bot as a share of people's requests; 0 is none."""

    scraper: float = Field(0.02, ge=0, le=1, description="walks through the whole catalogue, never clicks")
    price_watcher: float = Field(0.01, ge=0, le=1, description="the same few queries sorted by price, clicks the first")
    click_farm: float = Field(0.01, ge=0, le=1, description="few queries, always clicks the same items")
    monitoring: float = Field(0.01, ge=0, le=1, description="one query at a fixed interval, never clicks")


class BehaviourSettings(Settings):
    """What draws a click and what makes a purchase: log-odds per unit, and how far people look."""

    depth: float = Field(7.0, gt=0, description="positions of a page looked at: 1 + exponential with this mean")
    skip: float = Field(0.1, ge=0, lt=1, description="share of items overlooked above that depth")
    click_base: float = -2.6
    click_attraction: float = Field(1.0, description="per standard deviation of hype, fame and discount")
    click_fit: float = Field(0.35, description="per met wish for a brand or an attribute")
    click_sibling: float = Field(-1.6, description="item of another kind of the same product")
    order_base: float = -0.75
    order_quality: float = Field(1.9, description="per standard deviation of quality, given a click")
    order_attraction: float = Field(-0.8, description="per standard deviation of attraction: hype disappoints")
    order_met: float = Field(0.5, description="per wish that the item meets")
    order_missed: float = Field(-1.2, description="per wish that it does not meet")
    order_sibling: float = -3.0
    order_price: float = Field(-0.8, description="per unit of log price over the type's usual, times sensitivity")
    cart_share: float = Field(0.06, ge=0, le=0.5, description="clicks put into the cart without the will to buy")


class RankerSettings(Settings):
    """The shop's own ranking that the log was recorded under."""

    pool: int = Field(60, ge=24, description="candidates per intent")
    fit: float = Field(0.3, ge=0, description="weight of met wishes")
    sibling: float = Field(-1.8, le=0, description="item of another kind of the same product")
    attraction: float = Field(0.5, ge=0, description="weight of attraction")
    noise: float = Field(0.7, ge=0, description="standing error of the ranker on an intent and item")
    jitter: float = Field(0.6, ge=0, description="scale of the noise that differs between requests")
    exploration: float = Field(0.03, ge=0, le=1, description="share of candidates lifted at random in a request")


class CatalogueSettings(Settings):
    """A catalogue of real products to simulate shoppers over: JSON lines, gzipped or not, and the names of its fields."""

    file: str = Field(description="path of the JSON lines")
    id: str = Field("id", min_length=1)
    title: str = Field("title", min_length=1)
    brand: str = Field("brand", min_length=1)
    category: str | None = Field(None, min_length=1, description="null: the noun that is found in the title")
    price: str = Field("price", min_length=1)
    price_unit: float = Field(1.0, gt=0, description="what one unit of the price is worth: 0.01 where it is in cents")


class MarketSettings(Settings):
    """Size and behaviour of the simulated market."""

    catalogue: CatalogueSettings | None = Field(None, description="real products; null invents them")
    items: int = Field(20_000, ge=100, description="invented items; of a real catalogue: at most, chosen by hash")
    requests: int = Field(100_000, ge=100, description="requests by people, expected; bots come on top")
    days: int = Field(8, ge=3)
    types: int | None = Field(None, ge=6, description="latent product types; null: one per 40 items")
    brands: int | None = Field(None, ge=12, description="null: one per 50 items")
    shops: int | None = Field(None, ge=4, description="null: one per 500 items")
    intents: int | None = Field(None, ge=10, description="latent wishes behind queries; null: one per 5 items")
    users: int | None = Field(None, ge=10, description="null: one per 8 requests")
    intent_zipf: float = Field(0.75, ge=0, lt=1, description="exponent of the head of intents")
    texts: int = Field(6, ge=1, le=50, description="ways to put one intent into words")
    misspelled: float = Field(0.08, ge=0, le=1, description="share of requests with a typing error")
    page_size: int = Field(12, ge=1, le=24)
    viewport_clients: float = Field(0.3, ge=0, le=1, description="share of clients that report what was seen")
    legacy_clients: float = Field(0.05, ge=0, le=1, description="share of clients whose events have no id")
    files_per_day: int = Field(2, ge=1, description="gzip files per kind and day, at most")
    ranker: RankerSettings = RankerSettings()
    behaviour: BehaviourSettings = BehaviourSettings()
    bots: BotSettings = BotSettings()
    faults: FaultSettings = FaultSettings()

    @property
    def type_count(self) -> int:
        """Latent product types."""
        return self.types or max(6, self.items // 40)

    @property
    def brand_count(self) -> int:
        """Brands."""
        return self.brands or max(12, self.items // 50)

    @property
    def shop_count(self) -> int:
        """Shops."""
        return self.shops or max(4, self.items // 500)

    @property
    def intent_count(self) -> int:
        """Latent intents."""
        return self.intents or max(10, self.items // 5)

    @property
    def user_count(self) -> int:
        """Users."""
        return self.users or max(10, self.requests // 8)
