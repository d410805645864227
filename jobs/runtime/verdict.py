"""What an audit found: per run `_VERDICT.json`, per job and date `verdict.json` below the reports."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from jobs.runtime.errors import InputError

RUN_NAME = "_VERDICT.json"
JOB_NAME = "verdict.json"
Word = Literal["pass", "warn", "block", "error"]


@dataclass(frozen=True)
class CheckResult:
    """One check on one day. `value` is None where the figure is missing; `note` says why a check did not decide."""

    name: str
    metric: str
    severity: str
    low: float | None
    high: float | None
    value: float | None
    success: bool
    note: str = ""

    @property
    def expected(self) -> str:
        """The range in words, such as `at most 0.05`."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"at least {self.low:g}"
        return "any value" if self.high is None else f"at most {self.high:g}"


@dataclass(frozen=True)
class RunVerdict:
    """The checks of one dataset and day."""

    dataset: str
    dt: str
    run_id: str
    rows: int
    content_hash: str
    checks: tuple[CheckResult, ...]

    @property
    def verdict(self) -> Word:
        """block where a critical check failed, warn where a warning did, else pass."""
        failed = {c.severity for c in self.checks if not c.success}
        return "block" if "critical" in failed else "warn" if failed else "pass"

    def to_json(self) -> dict[str, Any]:
        """The fields with the verdict in front."""
        return {"verdict": self.verdict, **asdict(self)}

    @staticmethod
    def from_json(body: dict[str, Any]) -> RunVerdict:
        """The reverse of `to_json`; the verdict follows from the checks."""
        fields = {k: v for k, v in body.items() if k != "verdict"}
        return RunVerdict(**{**fields, "checks": tuple(CheckResult(**c) for c in body["checks"])})


@dataclass(frozen=True)
class JobVerdict:
    """What became of one attempt of a job; `reason` is its error in one sentence."""

    job: str
    dt: str
    run_id: str
    verdict: Word
    seconds: float
    rows_in: int
    rows_out: int
    finished_at: str
    base_entry: int
    code_version: str
    config_hash: str
    reason: str = ""
    notes: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: tuple[RunVerdict, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields, each output with its verdict."""
        return {**asdict(self), "outputs": [o.to_json() for o in self.outputs]}

    def write(self, folder: Path) -> None:
        """Writes `verdict.json`, replaced as a whole."""
        write_json(folder / JOB_NAME, self.to_json())

    @staticmethod
    def read(path: Path) -> JobVerdict:
        """Reads `verdict.json`. Raises InputError where it is missing or is not one."""
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            body["outputs"] = tuple(RunVerdict.from_json(o) for o in body["outputs"])
            return JobVerdict(**body)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a verdict ({' '.join(str(error).split())})") from None


def worst(words: Iterable[Word]) -> Word:
    """error, else block, else warn, else pass."""
    found = set(words)
    for word in ("error", "block", "warn"):
        if word in found:
            return word
    return "pass"


def job_folder(reports: str | Path, dt: str, job: str) -> Path:
    """Where the verdict and the validation results of one job and date lie."""
    return Path(reports) / f"dt={dt}" / job


def write_json(path: Path, body: Any) -> None:
    """Replaces a small JSON file as a whole, so that a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(body, indent=1, sort_keys=True, default=str), encoding="utf-8")
    os.replace(draft, path)
