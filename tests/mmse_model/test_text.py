from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmse_model.text import MAX_CHARACTERS, normalise, normalise_many


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  USB-C\tCharger \n", "usb-c charger"),
        ("Ｗｉｄｅ ①", "wide 1"),
        ("Straße ﬁne", "strasse fine"),
        ("cafe\u0301", "caf\u00e9"),
        ("cafe\u200d\u0301", "caf\u00e9"),
        ("a\u00a0b\u3000c", "a b c"),
        ("zero\u200bwidth\u00adhyphen", "zerowidthhyphen"),
        ("nul\x00bell\x07del\x7fnel\x85end", "nulbelldelnel end"),
        ("lone\ud800surrogate", "lonesurrogate"),
        ("数码相机 🎥", "数码相机 🎥"),
        ("", ""),
        (None, ""),
    ],
)
def test_equal_looking_texts_become_one(raw: str | None, expected: str) -> None:
    assert normalise(raw) == expected


def test_a_long_text_keeps_its_first_512_characters() -> None:
    assert normalise("x" * 10_000) == "x" * 512
    assert normalise("x" * 511 + " y") == "x" * 511  # no trailing space is left by the cut


@given(st.text(max_size=700))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert len(once) <= MAX_CHARACTERS
    once.encode("utf-8")


@given(st.lists(st.none() | st.text()))
def test_many_is_each_alone(texts: list[str | None]) -> None:
    assert normalise_many(texts) == [normalise(t) for t in texts]


@given(st.text(st.characters(max_codepoint=127)))
def test_the_ascii_path_agrees_with_the_general_one(text: str) -> None:
    assert normalise(text + " \u00e9").removesuffix("\u00e9").rstrip() == normalise(text)[:510].rstrip()
