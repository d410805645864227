"""The token hash: FNV-1a over UTF-8 bytes with a final mix, for whole arrays of tokens at once.

In any language: h = 14695981039346656037; for each byte b of the token: h = ((h xor b) * 1099511628211)
mod 2^64. Then, to spread the low bits that the bins are taken from: h ^= h >> 33; h *= 0xff51afd7ed558ccd;
h ^= h >> 33; h *= 0xc4ceb9fe1a85ec53; h ^= h >> 33, all unsigned and mod 2^64 (the mix of MurmurHash3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

OFFSET = np.uint64(14695981039346656037)
PRIME = np.uint64(1099511628211)
SHIFT = np.uint64(33)
MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))

Hashes = NDArray[np.uint64]


def fnv1a(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], state: Hashes | None = None
) -> Hashes:
    """FNV-1a of N byte ranges of `data`; `state` (N,) continues hashes that were begun before.

    Works byte by byte over all ranges that are still running: O(total bytes) in numpy, however many ranges.
    """
    hashes = np.full(len(starts), OFFSET) if state is None else state.copy()
    if not len(starts):
        return hashes
    order = np.argsort(-lengths, kind="stable")
    longest_first, at = hashes[order], starts[order]
    running = np.searchsorted(-lengths[order], -np.arange(1, lengths.max() + 1), side="right")
    for n in running:
        longest_first[:n] = (longest_first[:n] ^ data[at[:n]]) * PRIME
        at[:n] += 1
    hashes[order] = longest_first
    return hashes


def fnv1a_byte(state: Hashes, byte: int) -> Hashes:
    """One more byte, the same for every hash."""
    return (state ^ np.uint64(byte)) * PRIME


def finish(state: Hashes) -> Hashes:
    """The final mix, so that every bit of the result depends on every byte."""
    mixed = state ^ (state >> SHIFT)
    for factor in MIX:
        mixed = mixed * factor
        mixed ^= mixed >> SHIFT
    return mixed


def hash_tokens(tokens: Sequence[str]) -> Hashes:
    """The token hash of each string, (N,) uint64."""
    encoded = [token.encode("utf-8") for token in tokens]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    starts = np.cumsum(lengths) - lengths
    return finish(fnv1a(np.frombuffer(b"".join(encoded), np.uint8), starts, lengths))
