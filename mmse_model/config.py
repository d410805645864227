"""Settings of the model and of training. Unknown keys are refused everywhere."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """A section of the configuration: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GrainSettings(Settings):
    """Sizes of one text grain."""

    vocabulary: int = Field(20_000, ge=1, description="most frequent tokens with a row of their own")
    min_count: int = Field(2, ge=1, description="rarer tokens go to the hash bins")
    bins: int = Field(4_096, ge=1, description="rows shared by all other tokens")
    query_length: int = Field(8, ge=1, description="ids kept per query")
    item_length: int = Field(16, ge=1, description="ids kept per item title")


class AttributeSettings(Settings):
    """Sizes of the attribute grain: brand, shop, price bucket and category levels of an item."""

    vocabulary: int = Field(20_000, ge=1, description="most frequent attribute values with a row of their own")
    min_count: int = Field(1, ge=1, description="rarer values go to the hash bins")
    bins: int = Field(8_192, ge=1, description="rows shared by all other values")
    item_length: int = Field(8, ge=4, description="brand, shop, price bucket and the deepest category levels")
    price_buckets: int = Field(16, ge=2, description="of the price: below 1, then one per doubling, the last open")


class GrainsSettings(Settings):
    """The grains of text and attributes."""

    word: GrainSettings = GrainSettings()
    bigram: GrainSettings = GrainSettings(bins=8_192, query_length=8, item_length=16)
    trigram: GrainSettings = GrainSettings(bins=4_096, query_length=24, item_length=40)
    attribute: AttributeSettings = AttributeSettings()


SEQUENCE_GRAIN = "sequence"
"""The grain of the transformer: a part of the vector like the others, without tokens of its own."""


class TransformerSettings(Settings):
    """A further grain: the words of a text in their order, read by a small transformer encoder."""

    layers: int = Field(0, ge=0, le=4, description="0 leaves the grain out")
    heads: int = Field(4, ge=1, description="of attention; they share token_dimension")
    feed_forward: int = Field(128, ge=1, description="width of each layer's hidden layer")

    @model_validator(mode="after")
    def _used(self) -> TransformerSettings:
        defaults = [type(self).model_fields[name].default for name in ("heads", "feed_forward")]
        if not self.layers and [self.heads, self.feed_forward] != defaults:
            raise ValueError(
                f"heads = {self.heads}, feed_forward = {self.feed_forward}: no meaning with layers = 0; expected 1 layer or more"
            )
        return self


class ModelSettings(Settings):
    """Shape of the two towers."""

    dimension: int = Field(128, ge=8, description="of the concatenated vector; the grains share it equally")
    grains: tuple[Literal["word", "bigram", "trigram", "attribute"], ...] = ("word", "bigram", "trigram", "attribute")
    fusion: Literal["post", "pre"] = "post"
    token_dimension: int = Field(64, ge=4, description="width of the token table that all grains share")
    hidden: int = Field(128, ge=0, description="width of each grain's hidden layer; 0 is linear")
    transformer: TransformerSettings = TransformerSettings()

    @property
    def parts(self) -> tuple[str, ...]:
        """The grains, and the transformer's where there is one: each is a part of the vector."""
        return (*self.grains, SEQUENCE_GRAIN) if self.transformer.layers else self.grains

    @property
    def grain_dimension(self) -> int:
        """Components of each grain's part of the vector."""
        return self.dimension // len(self.parts)

    @model_validator(mode="after")
    def _splits(self) -> ModelSettings:
        if not {"word", "trigram"} & set(self.grains) or len(set(self.grains)) != len(self.grains):
            raise ValueError(f"grains = {list(self.grains)}: expected different grains, 'word' or 'trigram' among them")
        if self.transformer.layers and "word" not in self.grains:
            raise ValueError(f"grains = {list(self.grains)}: the transformer reads words; expected 'word' among them")
        if self.dimension % len(self.parts):
            raise ValueError(f"dimension = {self.dimension}: expected a multiple of the {len(self.parts)} grains")
        heads = self.transformer.heads if self.transformer.layers else 1
        if self.token_dimension % heads:
            raise ValueError(f"token_dimension = {self.token_dimension}: expected a multiple of the {heads} heads")
        return self


class StageSettings(Settings):
    """One stage of the funnel, weakest first in the configuration's list."""

    name: str
    source: Literal["stream", "impression"] = "impression"
    evidence: Literal["none", "examined", "clicked", "carted", "ordered"] = "none"
    per_tuple: int = Field(0, ge=0, description="slots in a tuple; stream: entries that each request is ranked above")
    positive: bool = False
    margin: float = Field(0.1, ge=0, description="hinge margin to the stage below; the first stage has none")
    weight: float = Field(1.0, ge=0, description="of this stage's positives in the retrieval loss")


class HardNegativeWeight(Settings):
    """How the hard negatives of a row (`tuples.hard_negatives`) enter the retrieval loss."""

    weight: float = Field(1.0, ge=0, description="of each; 1 keeps the sum over the catalogue unbiased, 0 leaves them out")
    warmup_share: float = Field(0.25, ge=0, lt=1, description="of the steps, before which they take no part")


class ObjectiveSettings(Settings):
    """The two losses and the title pairs: L = L_retrieval + rank_weight L_rank + title_weight L_title."""

    retrieval: Literal["softmax", "hinge", "three_part"] = Field(
        "softmax", description="global comparison; hinge (DPSR) and three_part (Amazon) are baselines"
    )
    temperature: float = Field(0.08, gt=0, description="of softmax and title pairs")
    hinge_margin: float = Field(0.1, ge=0, description="of hinge: how much a positive's score has to exceed a random item's")
    without: tuple[str, ...] = Field((), description="stages taken out of the losses: their items count as the stage below")
    rank_weight: float = Field(1.0, ge=0)
    title_weight: float = Field(0.5, ge=0)
    unclicked_in_retrieval: Literal["exclude", "negative", "positive"] = "exclude"
    count_correction: bool = Field(True, description="subtract the log expected count of each candidate")
    hard_negatives: HardNegativeWeight = HardNegativeWeight()

    @model_validator(mode="after")
    def _margin_of_hinge(self) -> ObjectiveSettings:
        if self.retrieval != "hinge" and self.hinge_margin != type(self).model_fields["hinge_margin"].default:
            raise ValueError(
                f"hinge_margin = {self.hinge_margin} has no meaning with retrieval {self.retrieval!r}; expected retrieval 'hinge'"
            )
        return self


CHANGES_NO_RESULT = ("loader_workers", "checkpoint_steps", "event_files")
"""Keys of `train` that say how fast or how safely a run happens: models that differ in them alone are equal."""


class TrainSettings(Settings):
    """One training run."""

    epochs: int = Field(4, ge=1)
    batch_size: int = Field(512, ge=2, description="tuples per batch and process")
    stream_items: int = Field(1024, ge=1, description="item stream entries per batch")
    learning_rate: float = Field(0.002, gt=0)
    warmup_steps: int = Field(50, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    gradient_clip: float = Field(1.0, gt=0, description="largest gradient norm")
    threads: int = Field(2, ge=1, description="torch threads; part of the result's bits")
    loader_workers: int = Field(1, ge=1, le=4, description="threads that read ahead in each dataset; no effect on results")
    checkpoint_steps: int = Field(500, ge=0, description="steps between checkpoints within an epoch; 0: only after epochs; "
                                  "no effect on results")
    event_files: bool = Field(True, description="losses and recalls for TensorBoard, beside the verdict; no effect on results")
    patience: int = Field(0, ge=0, description="epochs without a higher validation recall of orders that end training; 0: never")
    processes: int = Field(1, ge=1, description="ranks, launched by TorchDistributor when more than one")
    every_days: int = Field(7, ge=1)
    window_days: int = Field(28, ge=3, description="days of impressions that tuples are built from")
    validation_queries: int = Field(10_000, ge=1, description="validation tuples whose recall is measured each epoch")
    validation_items: int = Field(50_000, ge=1, description="item stream entries they are searched in")
    validation_k: int = Field(50, ge=1, description="cutoff of that recall")
    objective: ObjectiveSettings = ObjectiveSettings()


def check_stages(stages: tuple[StageSettings, ...]) -> tuple[StageSettings, ...]:
    """Refuses a list of stages that cannot be trained on; returns it unchanged otherwise."""
    names = [s.name for s in stages]
    if len(set(names)) != len(names):
        raise ValueError(f"stages: names must differ, got {names}")
    streams = [s.name for s in stages if s.source == "stream"]
    if streams != names[:1]:
        raise ValueError(f"stages: the first, and only the first, must have source 'stream', got {streams}")
    first = StageSettings(name=names[0], source="stream", per_tuple=stages[0].per_tuple)
    if stages[0] != first:
        raise ValueError(f"stages: {names[0]} is drawn from the stream; expected a name and per_tuple only")
    if not any(s.positive for s in stages):
        raise ValueError("stages: at least one must be positive")
    return stages


def slots_of(stages: tuple[StageSettings, ...]) -> list[tuple[str, int]]:
    """What decides the slots of a tuple: the stages of impressions, in order, with their places."""
    return [(s.name, s.per_tuple) for s in stages if s.source == "impression"]


__all__ = [
    "CHANGES_NO_RESULT", "SEQUENCE_GRAIN", "AttributeSettings", "GrainSettings", "GrainsSettings", "HardNegativeWeight",
    "ModelSettings", "ObjectiveSettings", "Settings", "StageSettings", "TrainSettings", "check_stages", "slots_of",
]
