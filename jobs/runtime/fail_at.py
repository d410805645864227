"""`--fail-at STAGE`: a job of the failure suite ends, or stands still, at a named stage. Refused anywhere else.

    before_write    nothing of the run is on disk
    after_write     files of a first output are, its manifest is not
    before_audit    all outputs are described, none is judged
    before_commit   the audit has passed, the snapshot log knows nothing
    during_commit   the entry lies beside the log as a draft
    after_commit    the entry is in the log, the job has not said so

`STAGE` alone is a real SIGKILL of the process; `STAGE:stop` is a SIGSTOP, which the suite ends with SIGCONT or SIGKILL.
"""

from __future__ import annotations

import os
import signal

from jobs.runtime.errors import ConfigError

STAGES = ("before_write", "after_write", "before_audit", "before_commit", "during_commit", "after_commit")
SUITE = "MMSE_FAILURE_SUITE"
"""Set to 1 by tests/failures alone."""

_armed: dict[str, int] = {}


def arm(text: str | None) -> None:
    """Has `reached` send a signal at that stage, once; None disarms.

    Raises ConfigError outside the failure suite and for a stage that is none.
    """
    _armed.clear()
    if text is None:
        return
    if os.environ.get(SUITE) != "1":
        raise ConfigError(f"--fail-at {text!r}: is for the tests in tests/failures, which set {SUITE}=1; expected no --fail-at")
    stage, _, way = text.partition(":")
    if stage not in STAGES or way not in ("", "stop"):
        raise ConfigError(f"--fail-at {text!r}: expected one of {', '.join(STAGES)}, alone or with :stop")
    _armed[stage] = signal.SIGSTOP if way else signal.SIGKILL


def reached(stage: str) -> None:
    """Called by the runtime at every stage; does nothing unless armed for it."""
    found = _armed.pop(stage, None)
    if found is not None:
        os.kill(os.getpid(), found)
