"""The sections that map columns or JSON paths of a shop's own files to canonical fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from mmse_model.config import Settings

PERSON = ("user_id", "client_id", "session_id")
COMMON_FIELDS = ("application", "ts", "query_id", *PERSON, "user_agent")
REQUEST_FIELDS = (*COMMON_FIELDS, "query_text", "locale", "page", "page_size", "filters", "sort", "hit_ids")
EVENT_FIELDS = (*COMMON_FIELDS, "event_id", "action", "object_id", "position", "quantity", "price", "order_id")
LIST_FIELDS = ("filters", "hit_ids")
CONSTANT_FIELDS = ("application", "locale", "source", "sort", "page", "page_size", "action", "quantity")
TIMES = ("zoned", "zoneless", "epoch")


def known_zone(name: str | None) -> str | None:
    """The name of a time zone. Raises ValueError where the IANA database has none of that name."""
    if name is not None and name not in available_timezones():
        raise ValueError("expected a zone of the IANA database such as UTC or Europe/Berlin")
    return name


def plain_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns of file names. Raises ValueError for one that names a folder or has other placeholders than * and ?."""
    for pattern in patterns:
        if not pattern or set(pattern) & set("/[]"):
            raise ValueError(f"{pattern!r}: expected the name of a file in its folder, with * and ? as placeholders")
    return patterns


class FieldSettings(Settings):
    """Where one canonical field stands. In YAML the path alone will do: `query_text: request.q`."""

    path: str | tuple[str, ...] = Field(
        min_length=1, description="CSV: the column. JSON, Parquet: names joined by dots, or a list of names that hold dots"
    )
    separator: str | None = Field(None, min_length=1, description="lists: what stands between the values of one text")
    element: str | None = Field(None, min_length=1, description="lists of objects: the key of each object that is meant")

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str | list) else value

    @model_validator(mode="after")
    def _one_form(self) -> FieldSettings:
        if self.separator and self.element:
            raise ValueError("expected a separator (a text) or an element (a list of objects), not both")
        if any("'" in name or not name for name in (*self.steps("json"), self.element or "element")):
            raise ValueError(f"path {self.path!r}: expected names that are not empty and hold no apostrophe")
        return self

    def steps(self, file_format: str) -> tuple[str, ...]:
        """The names from the record down to the value."""
        if isinstance(self.path, tuple):
            return self.path
        return (self.path,) if file_format == "csv" else tuple(self.path.split("."))


class RecordSettings(Settings):
    """One kind of record: canonical fields and where they stand, and fields that are the same everywhere."""

    allowed: ClassVar[tuple[str, ...]] = ()
    required: ClassVar[tuple[str, ...]] = ()

    fields: dict[str, FieldSettings] = Field(min_length=1, description="canonical field -> column or path")
    constants: dict[str, str | int] = Field(default_factory=dict, description="canonical field -> its value in every record")

    @model_validator(mode="after")
    def _known_fields(self) -> RecordSettings:
        constant = tuple(name for name in self.allowed if name in CONSTANT_FIELDS)
        _refuse_others(self.fields, self.allowed, "field")
        _refuse_others(self.constants, constant, "constant")
        for name in self.required:
            if name not in self.fields and name not in self.constants:
                raise ValueError(f"field {name!r} is missing; expected at least {', '.join(self.required)}")
        for name, field in self.fields.items():
            if name in self.constants:
                raise ValueError(f"{name!r} is a field and a constant; expected one of the two")
            if name not in LIST_FIELDS and (field.separator or field.element):
                raise ValueError(f"field {name!r} is no list; separator and element belong to {' and '.join(LIST_FIELDS)}")
        return self


class RequestMapping(RecordSettings):
    """Search requests. A time and a text may stand in another document of the same query id."""

    allowed = REQUEST_FIELDS
    required = ("query_id",)


class EventMapping(RecordSettings):
    """User events."""

    allowed = EVENT_FIELDS
    required = ("ts", "action", "object_id")


class FileSettings(Settings):
    """Files of one kind: their names and how records lie in them."""

    files: tuple[str, ...] = Field(min_length=1, description="names of files, as patterns of * and ?")
    format: Literal["json", "csv", "parquet"] = Field(description="json: one object a line; csv: one record a line; parquet")
    columns: tuple[str, ...] = Field((), description="csv: all columns, in the order of the file")
    separator: str = Field(",", min_length=1, max_length=1, description="csv: what stands between columns")
    quote: Literal['"', "'"] | None = Field('"', description="csv: what encloses a value, doubled within; null: nothing does")
    header: bool = Field(True, description="csv: the first line names the columns, exactly as declared")
    nulls: tuple[str, ...] = Field((), description="texts that mean that a value is absent, such as NULL or \\N")

    _files = field_validator("files")(plain_patterns)

    @model_validator(mode="after")
    def _csv_alone(self) -> FileSettings:
        if self.format != "csv":
            for name in ("columns", "separator", "quote", "header"):
                if name in self.model_fields_set:
                    raise ValueError(f"{name} has no meaning for format {self.format}; expected it with csv alone")
        elif not self.columns or len({c.casefold() for c in self.columns}) < len(self.columns):
            raise ValueError(f"columns {list(self.columns)}: expected every column of the file by a name of its own")
        return self

    @property
    def records(self) -> Mapping[str, RecordSettings]:
        """Kind of record -> its mapping; a section made of this one says which."""
        return {}

    @property
    def told_by(self) -> KindSettings | None:
        """What tells the kinds apart, where there are two."""
        return None

    @property
    def paths(self) -> list[FieldSettings]:
        """Every place that is read."""
        told = [self.told_by.path] if self.told_by else []
        return told + [field for mapping in self.records.values() for field in mapping.fields.values()]

    def check_paths(self) -> None:
        """Raises ValueError where a path names no column, or one thing is to be a value and an object at once."""
        steps = sorted({path.steps(self.format) for path in self.paths})
        for one in steps:
            name = ".".join(one)
            if self.format == "csv" and (len(one) > 1 or name not in self.columns):
                raise ValueError(f"{name!r} is no column; expected one of {list(self.columns)}")
            for other in (other for other in steps if other != one):
                if other[: len(one)] == one:
                    raise ValueError(f"{name!r} is a value, yet {'.'.join(other)!r} lies within it; expected one of them")
                if [s.casefold() for s in one] == [s.casefold() for s in other]:
                    raise ValueError(f"{name!r} and {'.'.join(other)!r} differ in case alone")


class KindSettings(Settings):
    """What tells requests from events in files that hold both."""

    path: FieldSettings
    requests: tuple[str, ...] = Field(min_length=1, description="values that mean a request; any other means an event")


class SourceSettings(FileSettings):
    """Files of requests, of events, or of both."""

    requests: RequestMapping | None = None
    events: EventMapping | None = None
    kind: KindSettings | None = Field(None, description="needed where the files hold requests and events")
    times: tuple[Literal["zoned", "zoneless", "epoch"], ...] = Field(
        TIMES, min_length=1, description="how times are written; another form is refused"
    )
    time_zone: str | None = Field(None, description="zone of times that name none; null: ingest.time_zone")
    position_base: Literal[0, 1] | None = Field(None, description="number of the first position; null: as ingest says")

    _zone = field_validator("time_zone")(known_zone)

    @model_validator(mode="after")
    def _whole(self) -> SourceSettings:
        if not self.records:
            raise ValueError("expected requests, events, or both")
        if (self.kind is not None) != (len(self.records) == 2):
            raise ValueError("kind: expected where files hold requests and events, and only there")
        if self.position_base is not None and self.events is None:
            raise ValueError("position_base has no meaning without events")
        if self.time_zone is not None and "zoneless" not in self.times:
            raise ValueError("time_zone has no meaning where times are never zoneless")
        self.check_paths()
        return self

    @property
    def records(self) -> Mapping[str, RecordSettings]:
        """Kind of record -> its mapping."""
        return {kind: mapping for kind, mapping in (("query", self.requests), ("event", self.events)) if mapping}

    @property
    def told_by(self) -> KindSettings | None:
        """What tells requests from events."""
        return self.kind


class MappingSettings(Settings):
    """The mapping adapter."""

    sources: tuple[SourceSettings, ...] = Field((), description="each file belongs to exactly one of them")

    @field_validator("sources")
    @classmethod
    def _requests_complete(cls, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        mappings = [source.requests for source in sources if source.requests]
        for name in ("ts", "query_text"):
            if mappings and not any(name in mapping.fields for mapping in mappings):
                raise ValueError(f"no source maps {name!r} of requests; expected at least one that does")
        return sources


def _refuse_others(names: Iterable[str], allowed: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"unknown {what} {name!r}; expected one of {', '.join(allowed)}")
