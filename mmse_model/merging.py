"""The shards of an index as one index whose lists lie in one file on disk, for whoever serves with FAISS alone.

    python -m mmse_model.merging INDEX_FOLDER NEW_FOLDER

FAISS maps the shards and copies list by list: memory does not grow with the index. Some types cannot be merged, or come out as
garbage without an error (faiss #5607, #5649, #2407): what may be is written down here, and tried on a few vectors before every
merge, because that changes with FAISS's version.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from faiss.contrib.ondisk import merge_ondisk

from mmse_model.ann import one_thread, read_index, train_index, write_index
from mmse_model.index_files import TRAINED, BrokenIndex, IndexCard, shard_fault

MERGEABLE = ("flat", "sq8")
"""Codecs whose shards may be merged on disk."""

MERGED, LISTS = "merged.faiss", "merged.ivfdata"


def merge_shards(folder: Path, target: Path) -> Any:
    """Writes `merged.faiss` and `merged.ivfdata` into the new folder `target`; returns the merged index, mapped.

    Raises ValueError where the index's codec cannot be merged or it has deltas, BrokenIndex that names a damaged file,
    FileExistsError where `target` is there.
    """
    card = IndexCard.read(folder)
    if card.deltas:
        raise ValueError(f"{folder}: has {len(card.deltas)} deltas; expected none, as after index.delta.max_deltas days")
    refuse_unmergeable(card.codec)
    for fault in filter(None, (shard_fault(folder, shard) for shard in card.shards)):
        raise BrokenIndex(fault)
    target.mkdir(parents=True)
    index = merge_files(folder / TRAINED, [folder / shard.path for shard in card.shards], target)
    if index.ntotal != card.vectors:
        raise ValueError(f"{target / MERGED}: {index.ntotal} vectors; expected {card.vectors}")
    return index


def refuse_unmergeable(codec: str) -> None:
    """Raises ValueError unless this FAISS merges shards of the codec to what one index with all vectors would find."""
    if codec not in MERGEABLE:
        raise ValueError(f"index.codec = {codec}: cannot be merged on disk; expected one of {', '.join(MERGEABLE)}")
    with tempfile.TemporaryDirectory() as scratch:
        if not merges(codec, Path(scratch)):
            raise ValueError(f"{codec}: FAISS {faiss.__version__} gives other hits after merging; expected equal ones")


def merges(codec: str, scratch: Path) -> bool:
    """Whether two shards of 100 vectors each, merged, give the ids and distances of one index with all 200."""
    vectors = np.random.default_rng(1).standard_normal((200, 16)).astype(np.float32)
    ids = np.arange(200) * 7 + 3
    write_index(train_index(vectors, 4, codec, 1), scratch / TRAINED)
    whole, paths = read_index(scratch / TRAINED), [scratch / f"{n}.faiss" for n in range(2)]
    whole.add_with_ids(vectors, ids)
    for path, rows in zip(paths, np.split(np.arange(200), 2)):
        part = read_index(scratch / TRAINED)
        part.add_with_ids(vectors[rows], ids[rows])
        write_index(part, path)
    merged = merge_files(scratch / TRAINED, paths, scratch)
    whole.nprobe = merged.nprobe = 4
    with one_thread():
        return all(np.array_equal(*pair) for pair in zip(whole.search(vectors, 10), merged.search(vectors, 10)))


def merge_files(trained: Path, shards: Sequence[Path], target: Path) -> Any:
    """The merged index of shards of one trained index, its lists on disk in `target`."""
    index = read_index(trained)
    with one_thread():
        merge_ondisk(index, [str(path) for path in shards], str(target / LISTS))
    write_index(index, target / MERGED)
    del index
    return open_merged(target)


def open_merged(folder: Path) -> Any:
    """A merged index, its lists mapped from beside it, wherever the folder has been moved."""
    return faiss.read_index(str(folder / MERGED), faiss.IO_FLAG_ONDISK_SAME_DIR)


def main(arguments: list[str] | None = None) -> int:
    """Merges and says how many vectors there are."""
    parser = argparse.ArgumentParser(prog="python -m mmse_model.merging", description="One index on disk out of shards.")
    parser.add_argument("index", type=Path, help="folder of a published index")
    parser.add_argument("target", type=Path, help="folder to make")
    chosen = parser.parse_args(arguments)
    try:
        print(f"{chosen.target / MERGED}: {merge_shards(chosen.index, chosen.target).ntotal:,} vectors")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
