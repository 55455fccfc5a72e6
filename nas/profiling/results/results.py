"""results.json: what the agent measured on a board. Data from a stranger: bounded in size, checked key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from nas.errors import UserError
from nas.files.plain import MB, has_tricks, read_text
from nas.files.toml import MOST_BYTES as MOST_TOML
from nas.profiling.agent.plan import FORMAT
from nas.profiling.agent.results import MOST_THREADS
from nas.profiling.plan.plan import network_name
from nas.runtimes.runtime import RuntimeName
from nas.space.candidate import Candidate, Value
from nas.space.layer import Precision
from nas.space.search_space import SearchSpace, load_space, parse_space

LARGEST = 32 * MB

CLOCKS = {"thread": "time of the thread", "wall": "time that passed"}  # as profile.toml says it

MOST_INTERVALS, MOST_WINDOWS = 1000, 1_000_000  # the agent plays eight intervals, in every run that goes on
LAST_SECOND = 253_402_300_800  # unix time of the year 10000
MOST_MS, MOST_JOULES = 1e7, 1e9  # of one run of a model, of one window: hours, and megawatts for a quarter of one


def _plain(text: str) -> str:
    if has_tricks(text):
        raise ValueError("a text must have no control characters")
    return text


Positive = Annotated[float, Field(gt=0, le=MOST_MS, allow_inf_nan=False)]
Finite = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, lt=LAST_SECOND, allow_inf_nan=False)]  # unix seconds
Joules = Annotated[float, Field(ge=0, le=MOST_JOULES, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=10**12)]
Text = Annotated[str, Field(max_length=400), AfterValidator(_plain)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # a later agent may say more


class Visit(_Part):
    """One visit to an item: batch 1, ms; `relative` to the reference that was run in turn with it."""

    at: Moment
    runs: Count
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
    resolution: Annotated[int, Field(gt=0)] | None = None
    toml: Annotated[str, Field(max_length=MOST_TOML)] | None = None  # results of older agents have none


class ReadPlan(_Part):
    format: int
    space: PlannedSpace
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    quick: bool = False
    runtime: RuntimeName = "onnxruntime"
    precisions: list[Precision]
    settings: dict[Text, Finite]
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
    threads: Annotated[int, Field(gt=0, le=MOST_THREADS)]
    cpus: list[Annotated[int, Field(ge=0, lt=1 << 16)]] | None = None
    meter: Text = "none"
    clock: Literal["thread", "wall"]
    ram_mb: Count | None = None
    before: Condition
    after: Condition
    throttled: list[Text] = []


class Window(_Part):
    """So many runs of one item between two times; `joules` of the whole machine or rail, None for an outside meter."""

    id: Text
    start: Moment
    end: Moment
    runs: Count
    joules: Joules | None = None


class Idle(_Part):
    start: Moment
    end: Moment
    joules: Joules | None = None


class Energy(_Part):
    """What a meter on the board read, or the times at which an outside meter is to be read."""

    meter: Text
    includes: Text
    period_s: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = (
        None  # between two changes of the reading
    )
    utc_offset_s: Finite | None = None  # the machine's time zone: PowerTOP writes local time
    idle: Annotated[list[Idle], Field(max_length=MOST_WINDOWS)]
    windows: Annotated[list[Window], Field(max_length=MOST_WINDOWS)]
    pattern: Annotated[
        list[tuple[Moment, Moment]], Field(max_length=MOST_INTERVALS)
    ] = []  # when the agent kept the machine busy, for aligning an outside meter


class Results(_Part):
    """A whole results file."""

    format: int
    plan: ReadPlan
    machine: Machine
    items: dict[str, list[Visit]]
    energy: Energy | None = None

    @model_validator(mode="after")
    def _of_its_plan(self) -> Results:
        """Every measurement is of an item of the plan, and there is one."""
        ids = {item.id for item in self.plan.items}
        if len(ids) < len(self.plan.items):
            raise ValueError("no two items of the plan may have one id")
        windows = () if self.energy is None else (window.id for window in self.energy.windows)
        if foreign := next((name for name in (*self.items, *windows) if name not in ids), None):
            raise ValueError(f"{foreign[:40]!r} was measured, but is not in the plan")
        if empty := next((name for name, visits in self.items.items() if not visits), None):
            raise ValueError(f"{empty[:40]!r} has no visit")
        if not self.items_of("block", "calibrate", "check"):
            raise ValueError("nothing of the plan was measured")
        return self

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
        """The space that was measured: as the plan has it, else the one of that name here.

        Raises UserError when it is not here, or has changed since.
        """
        planned = self.plan.space
        if planned.toml is not None:
            found = parse_space(planned.toml, Path("the results' space"))
        else:
            found = load_space(planned.name)
        if found.fingerprint != planned.sha256 or found.name != planned.name:
            raise UserError(
                f"the space {planned.name} has changed since these results were planned; take the version of "
                "nas that made the bundle, or make a new bundle"
            )
        return found


def read_results(path: Path) -> Results:
    """Reads and checks a results file. Raises UserError naming the key that is wrong."""
    text = read_text(path, LARGEST, "results")
    try:
        found = Results.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, problem["loc"])) or "the file"
        message = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: is not a results.json written by the agent: {key[:120]}: {message[:200]}") from None
    if found.format != FORMAT or found.plan.format != FORMAT:
        raise UserError(f"{path}: is of format {found.format}; this nas reads format {FORMAT}")
    return found


def candidate_of(space: SearchSpace, item: PlannedItem) -> Candidate:
    """The candidate whose whole network was measured.

    Raises UserError for one that is not the space's, or not the one that the item is named after.
    """
    candidate = Candidate.of(item.candidate or {})
    try:
        space.encode(candidate)
    except UserError as error:
        raise UserError(f"results: {item.id[:40]}: {error}") from None
    if item.name != (name := network_name(space, candidate)):
        raise UserError(f"results: {item.id[:40]}: its candidate is {name}, but it is named {item.name[:80]!r}")
    return candidate
