"""One YAML file, validated, with `--set a.b=c` on top; its hash goes into every manifest."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from jobs.market.config import MarketSettings
from jobs.runtime.errors import ConfigError
from jobs.runtime.experiment_section import ExperimentSettings
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.jdsearch_sections import JdSearchSettings
from jobs.runtime.judgment_sections import JudgmentSettings
from jobs.runtime.safe_yaml import RefusedYaml, load_plain, shown
from jobs.runtime.sections import (
    AuditSettings,
    EmbedSettings,
    EvaluateSettings,
    IngestSettings,
    ItemSettings,
    LabelSettings,
    PathSettings,
    PrivacySettings,
    ReleaseSettings,
    RetentionSettings,
    SnapshotSettings,
    StreamSettings,
    TupleSettings,
    VocabularySettings,
)
from jobs.runtime.spark_section import SparkSettings, check_properties
from mmse_model.config import (
    CHANGES_NO_RESULT,
    GrainsSettings,
    ModelSettings,
    Settings,
    StageSettings,
    TrainSettings,
    check_stages,
)

SECRET = re.compile(r"(?i)secret|password|passwd|token|credential|access[.]?key|account[.]key")
"""Names of Spark properties whose values are secrets: spark.redaction.regex of Spark 4.0, and those of cloud storage."""

DEFAULT_STAGES = (
    StageSettings(name="random", source="stream", per_tuple=4),
    StageSettings(name="unclicked", evidence="examined", per_tuple=4),
    StageSettings(name="clicked", evidence="clicked", per_tuple=2, positive=True),
    StageSettings(name="ordered", evidence="ordered", per_tuple=2, positive=True, weight=4),
)


class Config(Settings):
    """The whole configuration of a run."""

    seed: int = Field(7, ge=0)
    paths: PathSettings = PathSettings()
    spark: SparkSettings = SparkSettings()
    market: MarketSettings = MarketSettings()
    ingest: IngestSettings = IngestSettings()
    items: ItemSettings = ItemSettings()
    labels: LabelSettings = LabelSettings()
    stages: tuple[StageSettings, ...] = DEFAULT_STAGES
    grains: GrainsSettings = GrainsSettings()
    vocabulary: VocabularySettings = VocabularySettings()
    tuples: TupleSettings = TupleSettings()
    item_stream: StreamSettings = StreamSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    embed: EmbedSettings = EmbedSettings()
    index: IndexSettings = IndexSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    experiment: ExperimentSettings = ExperimentSettings()
    release: ReleaseSettings = ReleaseSettings()
    audit: AuditSettings = AuditSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    judgments: JudgmentSettings = JudgmentSettings()
    jdsearch: JdSearchSettings = JdSearchSettings()
    privacy: PrivacySettings = PrivacySettings()
    retention: RetentionSettings = RetentionSettings()

    _stages = field_validator("stages")(check_stages)

    @model_validator(mode="after")
    def _stages_to_leave_out(self) -> Config:
        names, without = {s.name for s in self.stages}, set(self.train.objective.without)
        if without - names or not any(s.positive and s.name not in without for s in self.stages):
            raise ValueError(
                f"train.objective.without = {sorted(without)}: expected stages of {sorted(names)}, and a positive one left over"
            )
        return self

    @model_validator(mode="after")
    def _memory_of_properties(self) -> Config:
        check_properties(self.spark.conf)
        return self

    @model_validator(mode="after")
    def _kept_long_enough(self) -> Config:
        """Retention covers what jobs read back; two keys at most meet in what is retained."""
        labelled = self.labels.window_days + self.labels.order_window_days
        needed = max(self.train.window_days, labelled, self.ingest.catch_up_days + self.ingest.late_days + 2)
        kept, rotation = self.retention.people_days, self.ingest.key_rotation_days
        if kept < needed:
            raise ValueError(f"retention.people_days = {kept}: expected at least {needed}, the days that jobs read back")
        if rotation <= self.train.window_days + kept:
            raise ValueError(
                f"ingest.key_rotation_days = {rotation}: expected more than train.window_days + retention.people_days = "
                f"{self.train.window_days} + {kept}, so that a person has at most two keys in what is retained"
            )
        if self.ingest.key_id in self.ingest.retired_keys:
            raise ValueError(f"ingest.retired_keys: names {self.ingest.key_id!r}, which is ingest.key_id; expected earlier keys")
        return self

    def hash(self) -> str:
        """SHA-256 of the resolved configuration, what says where and how fast a run happens left out.

        Those are paths, Spark settings and CHANGES_NO_RESULT of training: none of them changes what is computed.
        """
        content = self.model_dump(mode="json", exclude={"paths": True, "spark": True, "train": set(CHANGES_NO_RESULT)})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def published(self) -> dict[str, Any]:
        """The resolved configuration as manifests hold it: Spark properties whose names speak of secrets keep no value."""
        content = self.model_dump(mode="json")
        properties = content["spark"]["conf"]
        content["spark"]["conf"] = {name: "<hidden>" if SECRET.search(name) else text for name, text in properties.items()}
        return content


def load_config(path: str | Path, overrides: list[str] | None = None) -> Config:
    """Reads, overrides and validates a configuration file.

    Raises ConfigError that names the file, the key, the value and what was expected.
    """
    raw = read_yaml(Path(path))
    for item in overrides or []:
        _apply(raw, item)
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(first_problem(str(path), error)) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError that names the file and what is wrong."""
    try:
        raw = load_plain(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a YAML file") from None
    except (RefusedYaml, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({error})") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: holds a {type(raw).__name__}; expected a mapping of sections")
    return raw


def _apply(raw: dict[str, Any], override: str) -> None:
    """Sets one `a.b=c` in place; the value is read as YAML."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: expected section.key=value")
    *parents, last = key.split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"--set {override!r}: {parent!r} is not a section")
    try:
        node[last] = load_plain(value)
    except RefusedYaml as error:
        raise ConfigError(f"--set {shown(override)!r}: the value is not valid YAML ({error})") from None


def first_problem(path: str, error: ValidationError, root: type[Settings] = Config) -> str:
    """One sentence for the first of pydantic's complaints, with the count of the rest."""
    problems = error.errors()
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    value = shown(repr(first["input"]))
    if first["type"] == "extra_forbidden":
        text = f"{path}: unknown key {key!r} (value {value}); expected one of {_known_keys(first['loc'], root)}"
    elif not key:  # of several keys together: the message names them
        text = f"{path}: {first['msg'].removeprefix('Value error, ')}"
    else:
        text = f"{path}: {key} = {value}; {first['msg']}"
    return text if len(problems) == 1 else f"{text} (and {len(problems) - 1} more)"


def _known_keys(loc: tuple[int | str, ...], root: type[Settings]) -> list[str]:
    model: Any = root
    for part in loc[:-1]:
        if part not in model.model_fields:  # a place in a list, a name in a mapping
            continue
        annotation = model.model_fields[part].annotation
        arguments = getattr(annotation, "__args__", ())
        candidates = [a for a in (annotation, *arguments) if isinstance(a, type) and issubclass(a, Settings)]
        if not candidates:
            return []
        model = candidates[0]
    return sorted(model.model_fields)
