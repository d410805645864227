"""The MMSE model: grains, towers, fusion, objectives, metrics, batches, trainer and retriever."""
