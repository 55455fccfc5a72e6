"""results.json: what the agent measured on a board. Data from a stranger: bounded in size, checked key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.errors import UserError
from nas.profiling.agent.plan import FORMAT
from nas.runtimes.runtime import RuntimeName
from nas.space.candidate import Candidate, Value
from nas.space.layer import Precision
from nas.space.search_space import SearchSpace, load_space

LARGEST = 256 << 20  # bytes of a results file

CLOCKS = {"thread": "time of the thread", "wall": "time that passed"}  # as profile.toml says it

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=400)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # a later agent may say more


LAST_SECOND = 253_402_300_800  # unix time of the year 10000


class Visit(_Part):
    """One visit to an item: batch 1, ms; `relative` to the reference that was run in turn with it."""

    at: Annotated[float, Field(ge=0, lt=LAST_SECOND)]  # unix seconds
    runs: Annotated[int, Field(gt=0)]
    median_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    relative: Positive
    reference_ms: Positive


class PlannedItem(_Part):
    id: Text
    name: Text
    precision: Precision
    kind: Literal["reference", "block", "calibrate", "check"]
    sha256: Text
    candidate: dict[str, Value] | None = None


class PlannedSpace(_Part):
    name: Text
    sha256: Text
    resolution: int | None = None


class ReadPlan(_Part):
    format: int
    space: PlannedSpace
    seed: int
    quick: bool = False
    runtime: RuntimeName = "onnxruntime"
    precisions: list[Precision]
    settings: dict[str, float]
    items: Annotated[list[PlannedItem], Field(min_length=1, max_length=1_000_000)]


class Condition(_Part):
    governor: Text | None = None
    mhz: Finite | None = None
    celsius: Finite | None = None


class Machine(_Part):
    system: Text
    machine: Text
    processor: Text
    board: Text | None = None
    runtime: Text
    provider: Text
    threads: Annotated[int, Field(gt=0)]
    cpus: list[int] | None = None
    clock: Literal["thread", "wall"]
    ram_mb: Annotated[int, Field(gt=0)] | None = None
    before: Condition
    after: Condition
    throttled: list[Text] = []


class Window(_Part):
    """So many runs of one item between two times; `joules` of the whole machine or rail, None for an outside meter."""

    id: Text
    start: Finite
    end: Finite
    runs: Annotated[int, Field(gt=0)]
    joules: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Idle(_Part):
    start: Finite
    end: Finite
    joules: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Energy(_Part):
    """What a meter on the board read, or the times at which an outside meter is to be read."""

    meter: Text
    includes: Text
    period_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None  # between two changes of the reading
    utc_offset_s: Finite | None = None  # the machine's time zone: PowerTOP writes local time
    idle: list[Idle]
    windows: list[Window]
    pattern: list[tuple[Finite, Finite]] = []  # when the agent kept the machine busy, for aligning an outside meter


class Results(_Part):
    """A whole results file."""

    format: int
    plan: ReadPlan
    machine: Machine
    items: dict[str, list[Visit]]
    energy: Energy | None = None

    def items_of(self, *kinds: str) -> list[PlannedItem]:
        """Items of these kinds that were measured, in the plan's order."""
        return [item for item in self.plan.items if item.kind in kinds and self.items.get(item.id)]

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Those that were measured: a runtime may lack some that were planned."""
        return tuple(dict.fromkeys(item.precision for item in self.items_of("block", "calibrate", "check")))

    @property
    def reference(self) -> str | None:
        """The name of the network that every run was taken in turn with."""
        return next((item.name for item in self.plan.items if item.kind == "reference"), None)

    def space(self) -> SearchSpace:
        """The space that was measured. Raises UserError when it is not here, or has changed since."""
        found = load_space(self.plan.space.name)
        if found.fingerprint != self.plan.space.sha256:
            raise UserError(
                f"the space {found.name} has changed since these results were planned; take the version of "
                "nas that made the bundle, or make it anew"
            )
        return found


def read_results(path: Path) -> Results:
    """Reads and checks a results file. Raises UserError naming the key that is wrong."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: a results file has at most {LARGEST >> 20} MB")
        found = Results.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, problem["loc"])) or "the file"
        raise UserError(f"{path}: is no results file of the agent: {key[:120]}: {problem['msg'][:200]}") from None
    if found.format != FORMAT or found.plan.format != FORMAT:
        raise UserError(f"{path}: is of format {found.format}; this nas reads format {FORMAT}")
    return found


def candidate_of(item: PlannedItem) -> Candidate:
    return Candidate.of(item.candidate or {})
