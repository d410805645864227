"""The section of graded judgments."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from jobs.runtime.mapping_sections import FileSettings, RecordSettings
from mmse_model.config import Settings

JUDGMENT_FIELDS = ("query_id", "query_text", "object_id", "grade", "locale", "source")


class RatingMapping(RecordSettings):
    """A grade of a query (by its text, or by an id of the file of queries) and an item."""

    allowed = JUDGMENT_FIELDS
    required = ("object_id", "grade")


class QueryMapping(RecordSettings):
    """The text behind a query id."""

    allowed = ("query_id", "query_text", "locale")
    required = ("query_id", "query_text")


class RatingFiles(FileSettings):
    """Files of grades."""

    record: RatingMapping

    @property
    def records(self) -> Mapping[str, RecordSettings]:
        """The one kind of record."""
        return {"judgment": self.record}


class QueryFiles(FileSettings):
    """Files of query texts, where the grades name queries by an id."""

    record: QueryMapping

    @property
    def records(self) -> Mapping[str, RecordSettings]:
        """The one kind of record."""
        return {"query": self.record}


class JudgmentSettings(Settings):
    """Graded judgments, read by the side job ingest_judgments."""

    folder: str | None = Field(None, description="folder in which the files lie")
    ratings: RatingFiles | None = Field(None, description="files of grades and where their fields stand")
    queries: QueryFiles | None = Field(None, description="files of query texts, where the grades have query ids alone")
    lowest_grade: float = Field(0.0, description="a grade below is refused")
    highest_grade: float = Field(4.0, description="a grade above is refused")

    @model_validator(mode="after")
    def _whole(self) -> JudgmentSettings:
        if (self.folder is None) != (self.ratings is None) or (self.queries and not self.ratings):
            raise ValueError("folder, ratings: expected both, and queries only with them")
        if self.lowest_grade >= self.highest_grade:
            raise ValueError(f"lowest_grade = {self.lowest_grade:g}: expected less than highest_grade = {self.highest_grade:g}")
        if self.ratings:
            self._check_queries(set(self.ratings.record.fields))
        for files in (self.ratings, self.queries):
            if files:
                files.check_paths()
        return self

    def _check_queries(self, mapped: set[str]) -> None:
        if self.queries and ("query_id" not in mapped or "query_text" in mapped):
            raise ValueError("ratings: expected query_id and no query_text where queries gives the texts")
        if not self.queries and ("query_text" not in mapped or "query_id" in mapped):
            raise ValueError("ratings: expected query_text and no query_id where there is no file of queries")
