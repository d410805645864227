"""The sections of the configuration that belong to Spark jobs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from jobs.runtime.checks import refuse_unknown
from jobs.runtime.ga4_sections import Ga4Settings
from jobs.runtime.mapping_sections import MappingSettings, known_zone, plain_patterns
from jobs.runtime.negative_sections import HardNegativeSettings, OwnNegativeSettings
from mmse_model.config import Settings
from schemas.events import ACTIONS


class PathSettings(Settings):
    """Where things lie; relative paths are taken from the working directory."""

    raw: str = Field("build/demo/raw", description="raw logs and catalogue, by arrival day")
    warehouse: str = Field("build/demo/warehouse", description="snapshots and the snapshot log")
    snapshot_log: str = Field("", description="keep the log in an object store, s3://BUCKET/PREFIX; empty: in the warehouse")
    reports: str = Field("build/demo/reports", description="report pages and Data Docs")


class BotSettings(Settings):
    """Second step of bot filtering: what one client does within one arrival day. Each rule alone is enough."""

    max_requests_per_day: int = Field(1_000, ge=1, description="rule volume: more requests")
    max_events_per_day: int = Field(20_000, ge=1, description="rule volume: more events")
    max_requests_per_minute: int = Field(20, ge=1, le=1_000, description="rule rate: more in any 60 seconds")
    steady_steps: int = Field(10, ge=2, description="rule regular: pauses compared with the one before, at least")
    steady_ratio: float = Field(1.5, gt=1, description="two pauses are alike within this factor")
    steady_share: float = Field(0.65, gt=0, le=1, description="rule regular: share of pauses alike the one before")
    idle_requests: int = Field(40, ge=1, description="rule no_clicks: requests, at least")
    idle_share: float = Field(0.02, ge=0, le=1, description="rule no_clicks: share of requests with a click, at most")
    breadth_queries: int = Field(150, ge=1, description="rule breadth: distinct queries, at least")
    breadth_share: float = Field(0.1, ge=0, le=1, description="rule breadth: share of requests with a click, at most")
    repeat_requests: int = Field(30, ge=2, description="rule repetition: requests, at least")
    repeat_share: float = Field(0.15, gt=0, le=1, description="rule repetition: distinct queries per request, at most")
    eager_requests: int = Field(20, ge=1, description="rule click_rate: requests, at least")
    eager_share: float = Field(0.95, gt=0, le=1, description="rule click_rate: share of requests with a click, at least")


class IngestSettings(Settings):
    """Raw logs to canonical requests and events."""

    adapter: Literal["ubi", "mapping", "ga4"] = "ubi"
    files: tuple[str, ...] = Field(
        ("queries*", "events*", "ubi*"), min_length=1, description="names of raw files, as patterns of * and ?"
    )
    catch_up_days: int = Field(0, ge=0, le=366, description="earlier arrival days without a snapshot that are ingested too")
    late_days: int = Field(3, ge=0, le=366, description="what happened more days before its arrival is too_late")
    future_minutes: int = Field(60, ge=0, le=1_440, description="a time this far past the arrival day is still believed")
    time_zone: str = Field("UTC", description="zone of ISO times that name none, such as Europe/Berlin")
    position_base: Literal[0, 1] = Field(1, description="number of the first position in the log")
    position_base_by_application: dict[str, Literal[0, 1]] = Field(
        default_factory=dict, description="where applications differ"
    )
    action_aliases: dict[str, str] = Field(
        default_factory=dict, description="action of the log in lower case -> one of schemas.events.ACTIONS"
    )
    user_key_file: str = Field("build/demo/secrets/user_key", description="file with the HMAC key, outside the data")
    key_id: str = Field("k1", min_length=1, max_length=64, description="name of that key, stored beside every hash")
    retired_keys: dict[str, str] = Field(
        default_factory=dict, description="key_id -> file of earlier keys, for as long as people hashed with them are to be found"
    )
    key_rotation_days: int = Field(
        180, ge=1, description="a key is used this long at least: more than train.window_days + retention.people_days"
    )
    mapping: MappingSettings = Field(MappingSettings(), description="which files hold which fields where, for adapter mapping")
    bots: BotSettings = BotSettings()
    ga4: Ga4Settings = Ga4Settings()

    _zone = field_validator("time_zone")(known_zone)
    _files = field_validator("files")(plain_patterns)

    @model_validator(mode="after")
    def _mapped(self) -> IngestSettings:
        if (self.adapter == "mapping") != bool(self.mapping.sources):
            raise ValueError("mapping.sources: expected with adapter mapping, and only there")
        if self.adapter == "mapping" and "files" in self.model_fields_set:
            raise ValueError("files has no meaning for adapter mapping; expected the names in mapping.sources")
        return self

    @model_validator(mode="after")
    def _ga4_alone(self) -> IngestSettings:
        if self.adapter != "ga4" and "ga4" in self.model_fields_set:
            raise ValueError(f"ga4 has no meaning for adapter {self.adapter}; expected adapter ga4 with it")
        if self.adapter == "ga4" and self.action_aliases:
            raise ValueError("action_aliases has no meaning for adapter ga4; expected the names in ga4.actions")
        return self

    @field_validator("action_aliases")
    @classmethod
    def _known_actions(cls, aliases: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(aliases.values()) - set(ACTIONS))
        if unknown:
            raise ValueError(f"unknown action {unknown[0]!r}; expected one of {ACTIONS}")
        return {name.strip().lower(): action for name, action in aliases.items()}


class ItemSettings(Settings):
    """The catalogue."""

    max_age_days: int = Field(3, ge=0, description="an older delivery may stand in where the date has none")


class LabelSettings(Settings):
    """Impressions and their stages."""

    window_days: int = Field(
        11, ge=1, description="event days ending at the date that are labelled where inputs changed; so are older ones still open"
    )
    click_window_minutes: int = Field(30, ge=1, description="from a search to a click without query id, same session")
    order_window_days: int = Field(7, ge=1, description="after a search its label is closed: later events do not count")
    examined_below_click: int = Field(1, ge=0, description="positions below the deepest click that count as examined")
    own_rankings: tuple[str, ...] = Field(
        ("relevance", "best_match"), description="values of sort that mean the shop's own ranking, as no value does"
    )


class VocabularySettings(Settings):
    """Which texts the vocabulary is counted from."""

    query_weight: int = Field(1, ge=0, description="how often a query's tokens count beside a title's")


class TupleSettings(Settings):
    """Training tuples."""

    validation_days: int = Field(1, ge=1)
    test_days: int = Field(1, ge=0)
    gap_minutes: int = Field(0, ge=0, description="between training labels and validation requests")
    max_per_query: int = Field(200, ge=1, description="training tuples kept per normalised query")
    known_positives: int = Field(16, ge=1)
    row_group_rows: int = Field(
        8_192, ge=1, description="most rows of a file, which is one row group; fewer where train.processes asks for it"
    )
    held_out_share: float = Field(0.0, ge=0, le=0.5, description="of the queries (or intents) kept out of training by hash")
    held_out_by: Literal["query", "intent"] = Field(
        "query", description="intent: all queries of a latent intent together, known of simulated markets alone"
    )
    own_negatives: OwnNegativeSettings = OwnNegativeSettings()
    hard_negatives: HardNegativeSettings = HardNegativeSettings()


class StreamSettings(Settings):
    """The item stream."""

    entries: int | None = Field(None, ge=1, description="expected length; null: as many as the configured training takes")
    most_entries: int = Field(2_000_000, ge=1, description="bound of that length; a shorter stream is passed over again")
    uniform_share: float = Field(0.5, ge=0, le=1, description="the rest is popularity^alpha, within each locale")
    popularity_alpha: float = Field(0.75, ge=0)


class EmbedSettings(Settings):
    """Item embedding."""

    block: int = Field(1_024, ge=1, description="items of every call of the tower; part of a vector's bits")
    rows_per_file: int = Field(250_000, ge=1, description="vectors per task and file; small catalogues use every core")
    carry_over: bool = Field(
        True, description="an unchanged item keeps its vector while the model stays; false: every item goes through the tower"
    )


class LexicalSettings(Settings):
    """The BM25 baseline."""

    fields: tuple[Literal["title", "brand", "category_path", "shop"], ...] = Field(
        ("title", "brand", "category_path"), min_length=1, description="texts of an item that are indexed as one document"
    )
    k1: float = Field(1.2, ge=0, description="saturation of the term frequency")
    b: float = Field(0.75, ge=0, le=1, description="share of length normalisation")
    max_items: int = Field(2_000_000, ge=1, description="a larger catalogue leaves BM25 out: it is held in memory")


def ascending_cutoffs(ks: tuple[int, ...]) -> tuple[int, ...]:
    """Cutoffs of recall@k as they were given. Raises ValueError where they do not ascend from 1 or more."""
    if list(ks) != sorted({k for k in ks if k > 0}):
        raise ValueError(f"expected cutoffs of 1 or more in ascending order, got {list(ks)}")
    return ks


class EvaluateSettings(Settings):
    """Offline recall."""

    ks: tuple[int, ...] = Field((10, 50, 100, 200, 500), min_length=1, description="cutoffs of recall@k")
    max_queries: int = Field(5_000, ge=1, description="distinct queries judged, chosen by hash")
    max_relevant: int = Field(1_000, ge=1, description="items with a conversion kept per query, chosen by hash")
    block_items: int = Field(65_536, ge=1, description="item vectors in memory at a time")
    bootstrap: int = Field(1_000, ge=100, description="resamples of the queries")
    bm25: LexicalSettings = LexicalSettings()
    relevant_grade: float = Field(2, gt=0, description="of dataset judgments: recall counts items with that grade or more")
    look: int = Field(10, ge=0, le=100, description="wins, losses and worst queries, each so many, side by side in the report")
    fusion_constant: float = Field(60, ge=0, description="of reciprocal-rank fusion: the higher, the less a first place counts")
    lexical_weight: float | None = Field(None, ge=0, le=1, description="of BM25 in it; null: two, chosen on the validation days")
    tuning_queries: int = Field(1_000, ge=1, description="queries of the validation days that choose it, by hash")

    _ascending = field_validator("ks")(ascending_cutoffs)


class ReleaseSettings(Settings):
    """When a release is refused."""

    max_recall_drop: float = Field(0.1, ge=0, le=1, description="of ordered recall at K, relative to the release in force")
    max_ann_drop: float = Field(0.03, ge=0, le=1, description="of the index's recall@10 beside exact search, relative")
    max_coverage_drop: float = Field(0.3, ge=0, le=1, description="of the share of the catalogue that is retrieved, relative")
    max_catalogue_drop: float = Field(0.2, ge=0, le=1, description="of the number of items in the index, relative")


class AuditBounds(Settings):
    """Bounds of one check; null leaves that side open."""

    low: float | None = None
    high: float | None = None


class AuditSettings(Settings):
    """Data-quality gates."""

    bounds: dict[str, AuditBounds] = Field(
        default_factory=dict,
        description="'<dataset>.<metric>.<severity>' -> both bounds, in place of those declared in schemas/",
    )

    @field_validator("bounds")
    @classmethod
    def _known_checks(cls, bounds: dict[str, AuditBounds]) -> dict[str, AuditBounds]:
        refuse_unknown(bounds)
        return bounds


class SnapshotSettings(Settings):
    """The snapshot log."""

    keep_entries: int = Field(10, ge=1, description="log entries whose runs gc keeps")
    grace_hours: float = Field(24.0, ge=0, description="younger runs are never collected")


class PrivacySettings(Settings):
    """What people may read."""

    k: int = Field(10, ge=1, description="query text is shown where at least so many different people searched for it")
    shown_queries: int = Field(20, ge=0, le=1_000, description="most frequent queries on the report page; 0 shows none")


class RetentionSettings(Settings):
    """How long what may hold people is kept; `mmse gc` removes what is older."""

    raw_days: int | None = Field(
        None, ge=1, description="raw arrival days last written longer ago are removed; null: they are the producer's and stay"
    )
    scratch_hours: float = Field(24.0, gt=0, description="staging and scratch that no run has written to for so long")
    people_days: int = Field(
        60, ge=1, description="requests, events and quarantine of arrival days so far before the newest one leave the log"
    )
