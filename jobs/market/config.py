"""Settings of the market simulator."""

from __future__ import annotations

from pydantic import Field

from mmse_model.config import Settings


class FaultSettings(Settings):
    """Shares of records that the delivery damages; all 0 gives the clean stream."""

    duplicate: float = Field(0.01, ge=0, le=1)


class MarketSettings(Settings):
    """Size and behaviour of the simulated market."""

    items: int = Field(20_000, ge=100)
    requests: int = Field(100_000, ge=100)
    days: int = Field(8, ge=3)
    faults: FaultSettings = FaultSettings()
