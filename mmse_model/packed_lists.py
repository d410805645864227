"""Codes of fast-scan lists, which FAISS keeps in blocks of 32 with their bits interleaved, as rows and back."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np


def unpack_codes(ivf: Any, number: int) -> np.ndarray:
    """Codes of one list of an IndexIVFFastScan, uint8 (n, code size), in the order of its ids."""
    blocks, packer = faiss.downcast_InvertedLists(ivf.invlists), ivf.get_CodePacker()
    size = blocks.list_size(number)
    count = -(-size // packer.nvec)
    packed = faiss.rev_swig_ptr(blocks.get_codes(number), count * packer.block_size)
    flat = np.zeros((count * packer.nvec, packer.code_size), dtype=np.uint8)
    for n in range(count):
        block, rows = packed[n * packer.block_size :], flat[n * packer.nvec :]
        packer.unpack_all(faiss.swig_ptr(block), faiss.swig_ptr(rows))
    return flat[:size]


def pack_codes(ivf: Any, codes: np.ndarray) -> np.ndarray:
    """`codes` (n, code size) as the blocks that BlockInvertedLists.add_entries takes for an empty list, uint8."""
    packer = ivf.get_CodePacker()
    count = -(-len(codes) // packer.nvec)
    flat = np.zeros((count * packer.nvec, packer.code_size), dtype=np.uint8)
    flat[: len(codes)] = codes
    packed = np.zeros((count, packer.block_size), dtype=np.uint8)
    for n in range(count):
        packer.pack_all(faiss.swig_ptr(flat[n * packer.nvec :]), faiss.swig_ptr(packed[n]))
    return packed


__all__ = ["pack_codes", "unpack_codes"]
