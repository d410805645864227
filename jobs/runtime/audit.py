"""The audit between write and commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.runtime.job import JobContext


def audit_outputs(context: JobContext) -> None:
    """PLACEHOLDER until the Great Expectations audit lands."""
