"""Which checks a dataset has: those declared in schemas/, those its columns and key imply, and overridden bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from schemas import DATASETS, Check, Dataset

OTHER_SCHEMA = "files_of_other_schema"
"""Metric: files whose Parquet footer does not hold the declared columns and types."""


class Bounds(Protocol):
    """What `audit.bounds` gives for one check; the fields set are those that replace declared ones."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class NamedCheck:
    """A check with the name that `audit.bounds` and the verdicts call it by."""

    name: str
    check: Check

    @property
    def is_open(self) -> bool:
        """Whether no bound is left: nothing can fail."""
        return self.check.low is None and self.check.high is None


def implied_checks(dataset: Dataset) -> tuple[Check, ...]:
    """No null in a column declared so, no key twice, no file of another schema: all critical."""
    nulls = tuple(
        Check(f"nulls:{c.name}", "critical", high=0, doc="declared as never null")
        for c in dataset.columns if not c.nullable
    )
    key = (Check("duplicate_keys", "critical", high=0, doc=f"({', '.join(dataset.key)}) is the key"),)
    schema = (Check(OTHER_SCHEMA, "critical", high=0, doc="declared columns and types, read from the footers"),)
    return nulls + (key if dataset.key else ()) + (schema if dataset.columns else ())


def checks_of(dataset: Dataset, bounds: Mapping[str, Bounds] | None = None) -> tuple[NamedCheck, ...]:
    """Declared checks first, then implied ones, with the configured bounds in place of the declared."""
    overrides = bounds or {}
    named = []
    for check in dataset.checks + implied_checks(dataset):
        name = f"{dataset.name}.{check.metric}.{check.severity}"
        override = overrides.get(name)
        if override is not None:
            check = replace(check, low=override.low, high=override.high)
        named.append(NamedCheck(name, check))
    return tuple(named)


def refuse_unknown(bounds: Mapping[str, Bounds]) -> None:
    """Raises ValueError for a name that no dataset declares, or bounds that nothing can meet."""
    for name, bound in bounds.items():
        dataset = DATASETS.get(name.partition(".")[0])
        if dataset is None:
            raise ValueError(f"{name!r} names no dataset; expected '<dataset>.<metric>.<severity>', dataset one of "
                             f"{sorted(DATASETS)}")
        known = [c.name for c in checks_of(dataset)]
        if name not in known:
            raise ValueError(f"{name!r} is no check; expected one of {known}")
        if bound.low is not None and bound.high is not None and bound.low > bound.high:
            raise ValueError(f"{name!r}: low = {bound.low:g} is above high = {bound.high:g}")


def allows_empty(dataset: Dataset) -> bool:
    """Whether a day without rows is ordinary: the dataset has rows, and no check asks for any."""
    return bool(dataset.columns) and not any(c.metric == "rows" and (c.low or 0) > 0 for c in dataset.checks)
