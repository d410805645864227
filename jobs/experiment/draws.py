"""Random draws as pure functions of (seed, purpose, keys), in numpy: no state, any order, any block size.

The hash chains the finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014), a bijection of 64 bits.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]
Floats = NDArray[np.float64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
STEPS = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))


def mixed(bits: Any, key: Any) -> Bits:
    """64 new random bits from those of a chain and its next key; both broadcast, a negative key counts as its bits."""
    key = np.asarray(key)
    key = key if key.dtype == np.uint64 else key.astype(np.int64).view(np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        x = (bits + GOLDEN) ^ key
        for shift, factor in STEPS:
            x = (x ^ (x >> shift)) * factor
        return x ^ (x >> np.uint64(31))


def hashed(seed: int, purpose: str, *keys: Any) -> Bits:
    """64 random bits for each combination of keys; another purpose draws independently over the same keys."""
    digest = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=8).digest()
    bits: Any = np.uint64(int.from_bytes(digest, "big"))
    for key in keys:
        bits = mixed(bits, key)
    return bits


def uniform(bits: Bits) -> Floats:
    """Uniform on the open interval (0, 1)."""
    return (bits >> np.uint64(11)) * 2.0**-53 + 2.0**-54


def exponential(bits: Bits, mean: float) -> Floats:
    """Exponential with that mean."""
    return -mean * np.log(uniform(bits))
