"""The log of repeated rows: what counts as a pass, and that an interruption loses nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.failures.repeat import append, by_file, collected, listed, main, passes
from tests.failures.rows import ROWS, rows_of


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
    assert "no test of --row [99]" in capsys.readouterr().err


def test_a_test_stands_for_the_rows_in_its_name_or_in_the_table() -> None:
    assert rows_of("tests/failures/test_skew.py::test_row_12_one_query") == [12]
    assert rows_of("tests/jobs/test_delivery_order.py::test_order[1-UTC]") == [10, 18, 19]
    assert rows_of("tests/jobs/test_exit_codes.py::test_a_date_with_no_data_exits_3") == [13]
    assert rows_of("tests/jobs/test_exit_codes.py::test_a_date_with_no_data_exits_3_or_4") == []


def test_the_table_names_tests_that_exist_and_with_the_names_every_row_of_the_page_has_one() -> None:
    tests = [test for tests in ROWS.values() for test in tests]
    assert {by_file(test) for test in tests} == {by_file(found) for found in listed(*tests)}
    page = (REPOSITORY / "docs" / "RELIABILITY.md").read_text(encoding="utf-8")
    rows = {int(row) for cell in re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE) for row in cell.split(",")}
    assert rows == set(range(1, 21)) == {row for test in collected([]) for row in rows_of(test)}
