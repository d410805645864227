"""Batches for training, read through Petastorm."""

from mmse_model.batch import EMPTY, Batch

__all__ = ["EMPTY", "Batch"]
