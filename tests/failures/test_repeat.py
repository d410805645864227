"""The log of repeated rows: what counts as a pass, and that an interruption loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.failures.repeat import append, main, passes


def line(test: str, outcome: str = "passed", version: str = "v2") -> str:
    return json.dumps({"test": test, "outcome": outcome, "code_version": version}) + "\n"


def test_passes_of_this_code_count_and_a_line_that_was_cut_off_does_not(tmp_path: Path) -> None:
    log = tmp_path / "failures.jsonl"
    assert passes(log, "v2") == {}
    log.write_text(line("a") + line("a") + line("a", "failure") + line("b", version="v1") + line("b", "skipped") + line("c") + line("a")[:-5])
    assert passes(log, "v2") == {"a": 2, "c": 1}
    append(log, json.loads(line("a")))
    append(log, json.loads(line("c")))
    assert passes(log, "v2") == {"a": 3, "c": 2}


def test_a_row_without_a_test_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--row", "99"])
    assert "no test in tests/failures is named after it" in capsys.readouterr().err
