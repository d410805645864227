"""The configuration of an ablation: a base, and arms that each change a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from jobs.runtime.config import Config, first_problem, read_yaml
from jobs.runtime.errors import ConfigError
from jobs.runtime.sections import ascending_cutoffs
from mmse_model.config import Settings, slots_of

TRAINABLE = ("model", "train", "stages")
"""Sections that an arm may change: the tuples are built once, for the base."""


def trainable(change: dict[str, Any]) -> dict[str, Any]:
    """What an arm changes, as it was given. Raises ValueError for a section that the tuples depend on."""
    for name in change:
        if name not in TRAINABLE:
            raise ValueError(f"{name!r}: expected sections of {', '.join(TRAINABLE)}; the tuples are those of the base")
    return change


class Arm(Settings):
    """One configuration that is trained."""

    note: str = Field("", description="what it stands for, in the table")
    headline: bool = Field(False, description="trained with `seeds.headline` seeds instead of `seeds.others`")
    change: dict[str, Any] = Field(default_factory=dict, description="sections and keys that differ from the base")

    _trainable = field_validator("change")(trainable)


class Seeds(Settings):
    """How often each arm is trained."""

    headline: int = Field(5, ge=1)
    others: int = Field(2, ge=1)


class AblationSettings(Settings):
    """Arms over one published day of tuples."""

    base: str = Field(description="configuration file of the day that is published, relative to this file's working folder")
    against: str = Field(description="the arm that every other one is compared with")
    chooses_k: str = Field(description="the arm whose ordered recall, within 0.4-0.7, picks the K of the headline")
    seeds: Seeds = Seeds()
    change: dict[str, Any] = Field(default_factory=dict, description="of the base, for every arm")
    ks: tuple[int, ...] = Field((10, 50, 100, 500, 1000), min_length=1, description="cutoffs of recall@k")
    max_items: int = Field(1_000_000, ge=1, description="a larger catalogue is refused: its vectors are held in memory")
    resamples: int = Field(2_000, ge=100, description="of the two-level bootstrap")
    arms: dict[str, Arm] = Field(min_length=1)

    _trainable = field_validator("change")(trainable)
    _ascending = field_validator("ks")(ascending_cutoffs)

    @model_validator(mode="after")
    def _named(self) -> AblationSettings:
        for key, name in (("against", self.against), ("chooses_k", self.chooses_k)):
            if name not in self.arms:
                raise ValueError(f"{key} = {name!r}: no such arm; expected one of {', '.join(self.arms)}")
        return self

    def seeds_of(self, arm: str) -> int:
        """How many seeds an arm is trained with."""
        return self.seeds.headline if self.arms[arm].headline else self.seeds.others


def read_ablation(path: str | Path) -> AblationSettings:
    """Reads the file. Raises ConfigError that names the file, the key, the value and what was expected."""
    try:
        return AblationSettings.model_validate(read_yaml(Path(path)))
    except ValidationError as error:
        raise ConfigError(first_problem(str(path), error, AblationSettings)) from None


def config_of(ablation: AblationSettings, base: Config, arm: str, seed: int) -> Config:
    """The whole configuration of one run: the base with what the ablation and then the arm change, and the seed.

    Raises ConfigError where it is no valid one, or asks for other slots than the tuples of the base have.
    """
    raw = base.model_dump(mode="json", exclude_unset=True)  # what is not set may have no meaning beside what is
    for change in (ablation.change, ablation.arms[arm].change):
        raw = merged(raw, change)
    try:
        config = Config.model_validate({**raw, "seed": seed})
    except ValidationError as error:
        raise ConfigError(first_problem(f"arm {arm}", error)) from None
    found, expected = slots_of(config.stages), slots_of(base.stages)
    if found != expected:
        raise ConfigError(f"arm {arm}: stages = {found}; expected the slots of the tuples, {expected}")
    return config


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `change`; mappings are merged, everything else is replaced."""
    result = dict(base)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


__all__ = ["AblationSettings", "Arm", "config_of", "merged", "read_ablation"]
