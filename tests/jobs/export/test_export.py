"""An export says everything: its files alone give the ids and vectors of the model, and anything else is refused."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyspark
import pytest
import torch

import jobs.export.reader
from jobs.export.card import CARD, write_card
from jobs.export.check import check_export
from jobs.export.command import put_in_place
from jobs.export.files import ranges, write_export
from jobs.export.packages import required
from jobs.export.queries import odd_queries
from jobs.export.reader import QueryReader
from jobs.runtime.errors import Blocked, ConfigError, InputError
from mmse_model.config import GrainSettings, GrainsSettings, ModelSettings
from mmse_model.encoder import Encoder
from mmse_model.grains import Grains
from mmse_model.text import normalise_many
from mmse_model.tokens import tokenise
from mmse_model.towers import TwoTower

SMALL = GrainSettings(bins=50, query_length=8)
GRAINS = Grains.build(
    {"word": ["usb", "c", "鞋", "größe", "हिन्दी", "charger"], "bigram": ["usb c", "c charger"], "trigram": ["<us", "usb", "数码>"],
     "attribute": ["brand=acme"]},
    GrainsSettings(word=SMALL, bigram=SMALL, trigram=SMALL.model_copy(update={"query_length": 24})),
)
ORIGIN = {"release": {"dt": "2026-01-08"}}
QUERIES = odd_queries()


def new_encoder(**changes: object) -> Encoder:
    torch.manual_seed(3)
    model = TwoTower(GRAINS.layout, ModelSettings(dimension=16, token_dimension=8, hidden=4, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return Encoder(model, GRAINS)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Encoder, Path]]:
    """A model of each fusion and its export."""
    made = {}
    for fusion in ("post", "pre"):
        encoder, folder = new_encoder(fusion=fusion), tmp_path_factory.mktemp(fusion)
        write_export(folder, encoder)
        write_card(folder, ORIGIN)
        made[fusion] = encoder, folder
    return made


@pytest.fixture(params=["post", "pre"])
def exported(request: pytest.FixtureRequest, exports: dict[str, tuple[Encoder, Path]]) -> tuple[Encoder, Path]:
    return exports[request.param]


@pytest.fixture
def folder(exports: dict[str, tuple[Encoder, Path]]) -> Path:
    """One export, for what does not depend on the fusion."""
    return exports["post"][1]


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


# -- parity ------------------------------------------------------------------------------


def test_the_files_alone_give_the_models_vectors_of_1000_odd_queries(exported: tuple[Encoder, Path]) -> None:
    encoder, folder = exported
    found, expected = QueryReader(folder).encode(QUERIES), encoder.encode_queries(QUERIES)
    assert len(QUERIES) == 1_000 and found.shape == (1_000, 16)
    assert np.abs(found - expected).max() <= 1e-5
    assert len(np.unique(expected.round(4), axis=0)) > 800  # so that a wrong row is a wrong vector


def test_the_files_alone_give_the_models_ids(exported: tuple[Encoder, Path]) -> None:
    encoder, folder = exported
    reader, rows = QueryReader(folder), encoder.grains.query_ids(QUERIES)
    for text, row in zip(QUERIES, rows):
        kept = {g: row[c][row[c] != 0].tolist() for g, c in encoder.grains.layout.query.items()}
        assert reader.steps(text)["ids"] == kept, text


def test_every_known_token_is_found_by_the_files_alone(folder: Path) -> None:
    reader = QueryReader(folder)
    for grain in ("word", "bigram", "trigram"):
        first = GRAINS.layout.ranges[grain].start
        assert [reader.id(grain, token) for token in GRAINS.tokens[grain]] == [first + n for n in range(len(GRAINS.tokens[grain]))]


def test_the_check_reproduces_every_test_vector(exported: tuple[Encoder, Path]) -> None:
    parity = check_export(exported[1])
    assert parity.queries == 1_000 and 0 <= parity.largest <= 1e-5


def test_the_reference_reader_knows_nothing_of_mmse() -> None:
    """Nor does it ask Python for classes of characters or for casefolding: a port cannot."""
    source = Path(jobs.export.reader.__file__).read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    assert names - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
    asked = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert "normalize" in asked and not asked & {"casefold", "lower", "isspace", "isalnum", "isalpha", "isdigit", "category"}


@pytest.mark.skipif(shutil.which("javac") is None, reason="Java is here without its compiler")
def test_an_implementation_in_java_gives_the_ids_of_every_test_vector(folder: Path) -> None:
    jars = (Path(pyspark.__file__).parent / "jars").glob("jackson-[acd]*-2.*.jar")
    source = Path(__file__).with_name("QueryIds.java")
    done = subprocess.run(
        ["java", "-Dfile.encoding=UTF-8", "-cp", ":".join(map(str, jars)), str(source), str(folder)],
        capture_output=True, text=True, encoding="utf-8", check=False,
    )
    assert (done.stdout, done.returncode) == ("1000 lines\n", 0), done.stderr


def test_characters_of_all_planes_come_out_as_in_mmse(folder: Path) -> None:
    reader = QueryReader(folder)
    texts = [f"a{chr(code)}B" for code in range(0, 0x110000, 23)]
    left = normalise_many(texts)
    assert [reader.normalise(text) for text in texts] == left
    words = tokenise(left)["word"]
    spelled = zip(words.owners.tolist(), words.spell(np.arange(len(words.owners))))
    assert list(spelled) == [(n, word) for n, text in enumerate(left) for word in reader.words(text)]


def test_a_model_without_bigrams_is_exported_without_them(tmp_path: Path) -> None:
    encoder = new_encoder(grains=("trigram", "attribute"))
    write_export(tmp_path, encoder)
    write_card(tmp_path, ORIGIN)
    assert check_export(tmp_path).queries == 1_000
    assert list(QueryReader(tmp_path).steps("usb c")["ids"]) == ["trigram"]


def test_the_same_model_gives_the_same_bytes(exported: tuple[Encoder, Path], tmp_path: Path) -> None:
    encoder, folder = exported
    write_export(tmp_path, encoder)
    write_card(tmp_path, ORIGIN)
    assert (tmp_path / CARD).read_bytes() == (folder / CARD).read_bytes()


# -- odd queries -------------------------------------------------------------------------


def test_the_queries_are_odd_in_every_way_that_matters() -> None:
    assert len(set(QUERIES)) == 1_000
    left = normalise_many(QUERIES)
    assert sum(not text for text in left) >= 5  # nothing is left
    assert sum(len(text) == 512 for text in left) >= 5 and max(map(len, QUERIES)) == 10_000
    for first, last in (("数", "数"), ("🎥", "🎥"), ("\u0301", "\u0301"), ("가", "힣"), ("\u0900", "\u097f"), ("\u0600", "\u06ff"), ("𐐀", "𐑏")):
        assert sum(any(first <= c <= last for c in text) for text in QUERIES) >= 5, first
    assert sum(text.isascii() for text in QUERIES) >= 50
    for text in QUERIES:
        text.encode("utf-8")


def test_ranges_are_the_unbroken_stretches() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == [[1, 3], [7, 7], [9, 10]]
    assert ranges([]) == []


# -- refusals ----------------------------------------------------------------------------

FILES = ("characters.json", "grains.json", "query_encoder.onnx", "vectors.jsonl", "vocabulary.tsv")


@pytest.mark.parametrize("name", FILES)
def test_an_altered_or_missing_file_is_named(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: SHA-256 .* export.json says"):
        check_export(copy)
    (copy / name).unlink()
    with pytest.raises(InputError, match=f"{name}: missing"):
        check_export(copy)


@pytest.mark.parametrize("content", [None, "", "[]", '{"format": 1}', '{"format": 2, "files": {}, "release": {"dt": "x"}}'])
def test_a_folder_without_a_card_is_no_export(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / CARD).write_text(content)
    with pytest.raises(InputError, match="export.json: (not the card of an export|format = 2; expected 1)"):
        check_export(tmp_path)


def changed_graph(folder: Path) -> None:
    """One weight, by 1 %."""
    graph = onnx.load(folder / "query_encoder.onnx")
    tensor = next(t for t in graph.graph.initializer if t.name == "word.project.weight")
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[0] *= 1.01
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(graph, folder / "query_encoder.onnx")


def rules_changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        rules = json.loads((folder / "grains.json").read_text())
        change(rules)
        (folder / "grains.json").write_text(json.dumps(rules))

    return changed


def a_token_less(folder: Path) -> None:
    path = folder / "vocabulary.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def two_tokens_exchanged(folder: Path) -> None:
    path = folder / "vocabulary.tsv"
    first, second, *others = (line.split("\t") for line in path.read_text().splitlines())
    path.write_text("".join("\t".join(row) + "\n" for row in [[*first[:2], second[2]], [*second[:2], first[2]], *others]))


def not_a_number(folder: Path) -> None:
    path = folder / "vectors.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(first), "vector": [float("nan")] * 16}) + "\n" + "".join(others))


@pytest.mark.parametrize(("change", "error", "sentence"), [
    (changed_graph, Blocked, "the ONNX graph differs from the model by"),
    (not_a_number, Blocked, "the ONNX graph differs from the model by nan"),
    (two_tokens_exchanged, Blocked, "ids = .*; the model has"),
    (rules_changed(lambda r: r["hash"].update(shift=32)), Blocked, "ids = .*; the model has"),
    (rules_changed(lambda r: r["grains"]["word"].update(bins=49)), Blocked, "ids = .*; the model has"),
    (rules_changed(lambda r: r["trigrams"].update(begin="^")), Blocked, "tokens = .*; the model has"),
    (rules_changed(lambda r: r["normalisation"].update(max_characters=511)), Blocked, "normalised = .*; the model has"),
    (rules_changed(lambda r: r.update(format=2)), InputError, "format = 2; expected 1"),
    (rules_changed(lambda r: r.pop("words")), InputError, "not an export that can be carried out .*words"),
    (a_token_less, InputError, "vocabulary.tsv: 5 tokens of word; expected one for each id of 1..6"),
    (lambda folder: (folder / "query_encoder.onnx").write_bytes(b"none"), InputError, "query_encoder.onnx: onnxruntime .* cannot read it"),
    (lambda folder: (folder / "vectors.jsonl").write_text(""), InputError, "vectors.jsonl: no test vector"),
])
def test_an_export_that_gives_something_else_is_refused(
    copy: Path, change: Callable[[Path], None], error: type[Exception], sentence: str
) -> None:
    """Its card is right: the files are what was written, and wrong."""
    change(copy)
    (copy / CARD).unlink()
    write_card(copy, ORIGIN)
    with pytest.raises(error, match=sentence):
        check_export(copy)


def test_a_package_that_is_not_there_is_named() -> None:
    required("onnx", "onnxruntime")
    with pytest.raises(ConfigError, match=r"needs the package onnx_of_tomorrow: pip install 'mmse\[export\]'"):
        required("onnx", "onnx_of_tomorrow")


# -- in place ----------------------------------------------------------------------------


def test_an_export_takes_its_place_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "encoder"
    with pytest.raises(Blocked), put_in_place(place) as draft:
        (draft / "a").write_text("half")
        raise Blocked("it differs")
    assert not list(place.parent.iterdir())
    with put_in_place(place) as draft:
        (draft / "a").write_text("whole")
        assert not place.exists()
    assert [p.name for p in place.parent.iterdir()] == ["encoder"] and (place / "a").read_text() == "whole"


def test_a_folder_that_is_taken_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    for place in (tmp_path, tmp_path / "mine"):
        with pytest.raises(InputError, match="is there already"), put_in_place(place):
            pytest.fail("nothing may be written")
    with pytest.raises(InputError, match="cannot be written"), put_in_place(tmp_path / "mine" / "encoder"):
        pytest.fail("nothing may be written")
    assert (tmp_path / "mine").read_text() == "kept"
    (tmp_path / "empty").mkdir()
    with put_in_place(tmp_path / "empty") as draft:
        (draft / "a").write_text("new")
    assert (tmp_path / "empty" / "a").read_text() == "new"


# -- the document ------------------------------------------------------------------------


def test_the_hashes_in_the_document_are_right(folder: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "EXPORT.md").read_text(encoding="utf-8")
    examples = re.findall(r"`([^`]+)` has (?:the hash )?`([0-9a-f]{16})`", text)
    reader = QueryReader(folder)
    assert len(examples) == 4 and all(f"{reader.hash(token):016x}" == said for token, said in examples)
