"""What a run can say of itself about how well its accuracies rank networks, as pareto.json keeps it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from nas.files.toml import Table

FEWEST = 5  # networks that a tau is told of
Tau = Annotated[float, Field(ge=-1, le=1)]
Count = Annotated[int, Field(ge=0, lt=10**9)]


class RankQuality(Table):
    """Kendall's taus of a run's trained networks: 1 is the same order, 0 no relation.

    A network's own accuracy is the mean over trainings with all seeds. The three of all networks are expected values:
    they tell what noise takes away, and nothing of bias.
    """

    networks: Annotated[Count, Field(ge=FEWEST)]  # that were trained
    repeated: Annotated[Count, Field(ge=1)]  # of these, more than once
    two_trainings: Tau  # between one training of every network and another with other seeds
    one_training: Tau  # between one training and the networks' own accuracies
    expected: Tau  # between the expected accuracies, which the front is made of, and the networks' own
    first_second: Tau | None  # between the first and second trainings of the repeated ones; None: fewer than FEWEST
    low: Tau | None  # 90% of the bootstrap's values of `first_second` lie between low and high
    high: Tau | None

    @model_validator(mode="after")
    def _check(self) -> RankQuality:
        if self.repeated > self.networks:
            raise ValueError(f"repeated must be at most networks, {self.networks}; got {self.repeated}")
        known = [value is not None for value in (self.first_second, self.low, self.high)]
        if known != [self.repeated >= FEWEST] * 3:
            raise ValueError(
                f"first_second, low and high must be numbers where repeated is {FEWEST} or more, else null"
            )
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low must be at most high; got {self.low} and {self.high}")
        return self
