"""Training tuples: splits, selection, packing, the item stream, and the vocabulary they are spelled in."""
