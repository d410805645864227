"""Great Expectations on the profile frame: one row per day, one column per figure, one validation per dataset."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, Any

from jobs.runtime.checks import NamedCheck, allows_empty
from jobs.runtime.history import is_compared
from schemas import Check, Dataset

if TYPE_CHECKING:
    import pandas as pd

NO_VALUE = "the figure is missing"
NO_HISTORY = "not judged: too few days before, or too few rows on them"
EMPTY_DAY = "not judged: an empty day was allowed"


@cache
def gx_context() -> Any:
    """The one ephemeral context of this process: in memory, no telemetry, no progress bars."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read on import
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def metrics_frame(days: Mapping[str, Mapping[str, float]], metrics: Iterable[str]) -> pd.DataFrame:
    """Columns `dt` and `metrics`, one row per day; what is missing or not finite is NaN.

    Infinity must not pass for a figure: it would satisfy every check that is open on its side.
    """
    import pandas as pd

    def finite(value: Any) -> float:
        return float(value) if value is not None and math.isfinite(value) else math.nan

    columns: dict[str, list[Any]] = {"dt": list(days)}
    for metric in dict.fromkeys(metrics):
        columns[metric] = [finite(figures.get(metric)) for figures in days.values()]
    return pd.DataFrame(columns)


def absence(check: Check) -> str:
    """Why a day without the check's figure is not judged; empty where such a day fails."""
    return NO_HISTORY if is_compared(check.metric) else check.absent and f"not judged: {check.absent}"


def build_suite(dataset: Dataset, checks: Iterable[NamedCheck], allow_empty: bool) -> Any:
    """The suite of a dataset: each figure is there, and each check's figure lies in its bounds.

    Two expectations are needed because a range check passes over nulls. A day without rows
    has no averages: where it is ordinary they may be missing, where it was allowed
    by `--allow-empty` it is not judged at all. What compares with earlier days may be missing, a
    shop has a first day, and so may what its check says so of.
    """
    gx_context()
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    judged = [c for c in checks if not c.is_open]
    not_empty = {"row_condition": Column("rows") > 0, "condition_parser": "pandas"}
    waived = allow_empty and bool(dataset.columns)
    when_present = not_empty if waived or allows_empty(dataset) else {}
    suite = gx.ExpectationSuite(name=dataset.name)
    for metric in dict.fromkeys(c.check.metric for c in judged if not absence(c.check)):
        severities = {c.check.severity for c in judged if c.check.metric == metric}
        severity = "critical" if "critical" in severities else "warning"
        suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(
            column=metric, severity=severity, meta={"metric": metric}, **when_present))
    for named in judged:
        check = named.check
        suite.add_expectation(gxe.ExpectColumnValuesToBeBetween(
            column=check.metric, min_value=check.low, max_value=check.high, severity=check.severity,
            notes=check.doc or None, meta={"check": named.name}, **(not_empty if waived else {})))
    return suite


def validate(frame: pd.DataFrame, suite: Any) -> Any:
    """Great Expectations' result over the frame; failing rows are named by their `dt`."""
    source = gx_context().data_sources.add_or_update_pandas(suite.name)
    batches = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("profile")
    return batches.get_batch({"dataframe": frame}).validate(
        suite, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["dt"]}
    )


def failing_days(result: Any) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """From a validation: metric -> days where it is missing, check name -> days where it is out of bounds.

    Raises RuntimeError where an expectation threw, or failed without naming a day.
    """
    missing: dict[str, set[str]] = {}
    outside: dict[str, set[str]] = {}
    for one in result.results:
        meta = one.expectation_config.meta
        name = meta.get("check") or meta.get("metric")
        if (one.exception_info or {}).get("raised_exception", False) or not one.result:
            raise RuntimeError(f"{name}: {first_exception(one.exception_info)}")
        days = {row["dt"] for row in one.result.get("unexpected_index_list") or []}
        if not one.success and not days:
            raise RuntimeError(f"{name}: failed without naming a day")
        (outside if "check" in meta else missing)[name] = days
    return missing, outside


def first_exception(info: Any) -> str:
    """The message of an expectation's exception_info, which nests by metric in some cases."""
    if isinstance(info, dict):
        if info.get("exception_message"):
            return " ".join(str(info["exception_message"]).split())
        for value in info.values():
            if isinstance(value, dict):
                return first_exception(value)
    return "no result"


def describe_result(result: Any, frame: pd.DataFrame, run_name: str) -> dict[str, Any]:
    """The validation as JSON for Data Docs: figures instead of `0% unexpected`, and which run it judged."""
    for one in result.results:
        column = one.expectation_config.kwargs["column"]
        one.result["observed_value"] = observed(dict(zip(frame["dt"], frame[column])))
        one.result.pop("unexpected_index_query", None)  # an advice for notebooks
    body = result.to_json_dict()
    body["meta"] = {
        "great_expectations_version": body["meta"]["great_expectations_version"],
        "run_id": {"run_name": run_name, "run_time": datetime.now(timezone.utc).isoformat(timespec="seconds")},
        "batch_spec": {"data_asset_name": f"{result.suite_name}, profile of {len(frame)} days"},
    }
    return body


def observed(values: Mapping[str, float]) -> str:
    """The figures of the days in words; days that agree are not repeated."""
    words = {dt: "missing" if math.isnan(value) else f"{value:,.6g}" for dt, value in values.items()}
    if len(set(words.values())) > 1:
        return "; ".join(f"{dt}: {word}" for dt, word in words.items())
    return next(iter(words.values())) + (f" on all {len(words)} days" if len(words) > 1 else "")
