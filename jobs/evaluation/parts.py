"""The published parts that are searched together: embeddings, the index over them and the model of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.runtime.errors import InputError
from mmse_model.index_files import IndexCard
from mmse_model.retriever import Retriever

if TYPE_CHECKING:
    from jobs.runtime.job import JobContext


def open_retriever(context: JobContext) -> Retriever:
    """The retriever over the published index of the date, after a check that all parts belong together.

    Raises InputError where a part is not published, cannot be read, or was made from another one than
    the published: figures of such a mixture would be nobody's.
    """
    embeddings = context.manifest("embeddings")
    context.manifest("index")
    folder = context.folder("index")
    try:
        card = IndexCard.read(folder)
        if card.embeddings != embeddings.content_hash:
            raise InputError(
                f"{folder}: built from embeddings {card.embeddings[:12]}...; published for dt={context.dt} "
                f"are {embeddings.content_hash[:12]}...: run build_index again"
            )
        return Retriever.open(context.folder("model", model_day(context, card.model)), folder)
    except ValueError as error:  # a damaged index or model, named in the sentence
        raise InputError(str(error)) from None


def model_day(context: JobContext, content_hash: str) -> str:
    """The day, not after the date, whose published model has that content; InputError where there is none."""
    days = [day for day in context.entry.days("model") if day <= context.dt]
    for day in reversed(days):
        if context.manifest("model", day).content_hash == content_hash:
            return day
    raise InputError(
        f"model: none of the published days {days or 'none'} up to {context.dt} has content "
        f"{content_hash[:12]}..., from which the index was built"
    )
