"""The ids on standard input: read, hashed, never repeated."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.cli import main
from jobs.erasure.user_ids import hash_user_ids, read_user_ids
from jobs.runtime.errors import ConfigError


def given(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_one_id_per_line_blank_lines_and_repeats_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(monkeypatch, b" 42\r\n\nanna smith\n42\n")
    assert read_user_ids(None) == ["42", "anna smith"]
    (tmp_path / "ids").write_text("é")
    assert read_user_ids(str(tmp_path / "ids")) == ["é"]


def test_every_id_is_hashed_under_every_key() -> None:
    hashed = hash_user_ids(["what do ya want for nothing?"], {"k1": b"Jefe", "k0": b"x"})
    assert hashed[0] == ("k1", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")  # RFC 4231, case 2
    assert [key_id for key_id, _ in hashed] == ["k1", "k0"]


@pytest.mark.parametrize(("data", "said"), [(b"", "holds no user id"), (b"geheim\xff", "is not UTF-8")])
def test_bad_input_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, data: bytes, said: str) -> None:
    given(monkeypatch, data)
    with pytest.raises(ConfigError, match=said) as refused:
        read_user_ids(None)
    assert "geheim" not in str(refused.value)


def test_a_missing_key_ends_with_exit_code_2_and_no_id_on_the_screen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(f"paths: {{warehouse: {tmp_path / 'w'}}}\ningest: {{user_key_file: {tmp_path / 'none'}}}")
    given(monkeypatch, b"anna-4711\n")
    assert main(["forget", "--config", str(tmp_path / "c.yaml")]) == 2
    printed = capsys.readouterr()
    assert "ingest.user_key_file" in printed.err
    assert "anna-4711" not in printed.err + printed.out
