"""Settings of measurement and money: prices, the budget of a run, the harm of a wrong hit, the measured days."""

from datetime import date

from pydantic import BaseModel, Field


class MeasurementSettings(BaseModel):
    """Prices, the budget of a run, the harm of a wrong hit, the measured days."""

    prices_as_of: date = Field(
        date(2026, 5, 1), description="Day on which the oldest price in the settings was looked up; reports name it."
    )
    max_usd: float | None = Field(
        None,
        ge=0,
        description="Spend cap of a run over embedding, writing and judging together: the request that could pass it "
        "is not sent. Unset: the caps of the judge and of the writer alone.",
    )
    wrong_hit_usd: float | None = Field(
        None,
        ge=0,
        description="What a wrong answer costs you in USD. Unset: savings are reported before that harm, with the "
        "harm up "
        "to which warming pays.",
    )
    memory_usd_per_gib_month: float = Field(
        0.0, ge=0, description="Price of Redis's memory, part of the running cost. 0: memory that you pay for anyway."
    )
    impact_days: int = Field(
        14,
        ge=1,
        le=90,
        description="Whole days over which lift and savings are measured: two weeks have each weekday twice.",
    )
    idle_days: int = Field(
        28,
        ge=0,
        le=90,
        description="Entries without a hit in this many whole days, while an average one had 10, leave the next plan "
        "for "
        "a while. 0: never.",
    )
