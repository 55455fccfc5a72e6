"""What a served folder has written, read on the workstation: its log, and the state that serving goes on from.

The folder may come from a board that belongs to somebody else: files are bounded, numbers finite, texts without tricks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nas.errors import UserError
from nas.files.json import parse_json
from nas.files.plain import MB, file_in, read_text
from nas.files.toml import check_texts, first_problem
from nas.monitor.serve.log import LOG, OLDER

MONITOR, STATE, FRAMES = "monitor", "state.json", "frames"
MOST_LOG, MOST_LINES, MOST_STATE = 4 * MB, 100_000, 4 * MB
LARGEST = 1e12

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Points = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=2000)]
FrameName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$")]
Chart = Literal["picture", "features", "detections", "accuracy", "latency"]
ESTIMATE_CHART: Chart = "accuracy"  # of what the accuracy is estimated to be


class Record(BaseModel):
    """A line of the log. `n` counts the lines of one folder."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)  # a later serve.pyz may say more

    n: Count = 0
    time: AwareDatetime
    version: Annotated[int, Field(ge=0, le=10**9)]
    precision: Text


class Start(Record):
    """Serving began. `alarms`: those that stand from before; None: an older serve.pyz did not say."""

    kind: Literal["start"]
    source: Text = ""  # of the frames, in words
    alarms: tuple[Chart, ...] | None = None


class Stop(Record):
    """Serving ended."""

    kind: Literal["stop"]
    why: Text = ""
    served: Count = 0


class Objects(BaseModel):
    """Objects that a detector found in the frames of a window: mean and 90th percentile of a frame's number, and the
    share of frames with none.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    mean: Positive
    p90: Positive
    none: Share


class Window(Record):
    """Frames since the last window: 500 served ones, or what there were when serving ended or switched.

    Milliseconds of inference, and from capture to result. `accuracy` with its interval is an estimate without labels,
    as a fraction; None: it cannot be told. `trusted` False: the estimate is not to be trusted.
    """

    kind: Literal["window"]
    captured: Count
    served: Count
    skipped: Count
    late: Count
    p50_ms: Positive | None = None
    p90_ms: Positive | None = None
    p99_ms: Positive | None = None
    result_p90_ms: Positive | None = None
    accuracy: Share | None = None
    accuracy_low: Share | None = None
    accuracy_high: Share | None = None
    trusted: bool | None = None
    temperature_c: Number | None = None
    frequency_mhz: Positive | None = None
    other_load: Share | None = None  # of the processors, that other programs use
    throttled: tuple[Text, ...] = ()  # what holds of the board, in words: under-voltage, frequency capped, ...
    shares: dict[Text, Share] = {}  # of the frames, by model as 2:int8, where several were loaded
    over_budget: Count = 0  # frames above the largest latency
    objects: Objects | None = None  # of all classes; None: it is not a detector
    objects_of: dict[Text, Objects] = {}  # of the most frequent classes
    more_classes: Count = 0  # that were seen beside them


class Alarm(Record):
    """A chart passed its limit. `expected_loss_points`: of accuracy, in points; None: it cannot be told.
    `usual`: the accuracy, as a fraction, that it is lost from.

    `explained`: what explains that an inference takes longer; None: nothing does, or another chart alarms.
    """

    kind: Literal["alarm"]
    chart: Chart
    value: Number | None = None
    limit: Number | None = None
    expected_loss_points: Points | None = None
    usual: Share | None = None
    frames: tuple[FrameName, ...] = ()  # of FOLDER/monitor/frames
    why: Text = ""
    explained: Text | None = None


class Clear(Record):
    """What a chart had alarmed of has ended."""

    kind: Literal["clear"]
    chart: Chart


class Adapt(Record):
    """The batch-norm statistics of recent images were put in place (`adapt`), or taken out again (`undo`).

    The estimated accuracy before and after, as fractions.
    """

    kind: Literal["adapt", "undo"]
    before: Share | None = None
    after: Share | None = None
    images: Count | None = None
    why: Text = ""


class Switch(Record):
    """Another version, or another model of it, is served from here on; or could not be: `failed`."""

    kind: Literal["switch"]
    old: Annotated[int, Field(ge=0, le=10**9, alias="from")]
    new: Annotated[int, Field(ge=0, le=10**9, alias="to")]
    why: Text = ""
    failed: bool = False


class Labels(Record):
    """Labels of a person were read: `right` of `labels` frames were classified as labelled."""

    kind: Literal["labels"]
    labels: Count = 0
    right: Count = 0


class Profile(Record):
    """The latency has changed, and the board's health does not explain it: its profile should be measured again."""

    kind: Literal["profile"]
    value: Number | None = None
    limit: Number | None = None
    why: Text = ""


AnyRecord = Start | Stop | Window | Alarm | Clear | Adapt | Switch | Labels | Profile
KINDS = ("start", "stop", "window", "alarm", "clear", "adapt", "undo", "switch", "labels", "profile")
_ADAPTER: TypeAdapter[AnyRecord] = TypeAdapter(Annotated[AnyRecord, Field(discriminator="kind")])
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Log:
    """The records of a folder, the oldest first. `folder` is the one that was read, of which monitor/ is a part."""

    folder: Path
    records: tuple[AnyRecord, ...]

    def of(self, kind: type[R]) -> tuple[R, ...]:
        """The records of one kind, as `log.of(Window)`."""
        return tuple(record for record in self.records if isinstance(record, kind))

    @property
    def first(self) -> datetime | None:
        """When the oldest record was written; older ones may have been dropped."""
        return self.records[0].time if self.records else None

    @property
    def last(self) -> datetime | None:
        """When the newest record was written."""
        return self.records[-1].time if self.records else None

    def frame(self, name: str) -> Path | None:
        """The file of a kept frame; None where it is no longer there. Raises UserError for a link out of the folder."""
        return file_in(self.folder / MONITOR / FRAMES, name)


def read_log(folder: Path) -> Log:
    """The log of a served folder.

    A last line that was not written to its end is left out, and so are kinds that a later serve.pyz may have. Raises
    UserError where the folder was never served, and for a line that no serve.pyz has written.
    """
    place = folder / MONITOR
    found: list[AnyRecord] = []
    files = [
        file for number in range(OLDER, -1, -1) if (file := file_in(place, f"log.{number}.jsonl" if number else LOG))
    ]
    if not files:
        raise UserError(f"{folder} has no {MONITOR}/{LOG}: it was not served yet; serve it with serve.pyz")
    for path in files:
        text = read_text(path, MOST_LOG, "log")
        lines = text.split("\n")
        if len(found) + len(lines) > MOST_LINES:
            raise UserError(f"{path}: a log must have at most {MOST_LINES:,} lines")
        for number, line in enumerate(lines[:-1], 1):  # after the last line end: nothing, or half a line
            record = _record(line, path, number)
            if record is not None:
                found.append(record)
    return Log(folder, tuple(found))


def _record(line: str, path: Path, number: int) -> AnyRecord | None:
    where = f"{path}: line {number}"
    value = parse_json(line, where)
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise UserError(f"{where}: must be an object with a kind; got {line[:80]!r}")
    check_texts(value, path)
    if value["kind"] not in KINDS:
        return None
    try:
        return _ADAPTER.validate_python(value, strict=False)
    except ValidationError as error:
        raise UserError(f"{where}: {first_problem(error)}") from None


def read_state(folder: Path) -> dict[str, Any] | None:
    """state.json of a served folder as it is; None where there is none. Raises UserError for what is not an object."""
    path = file_in(folder / MONITOR, STATE)
    if path is None:
        return None
    value = parse_json(read_text(path, MOST_STATE, "JSON"), str(path))
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be an object; got {str(value)[:80]!r}")
    check_texts(value, path)
    return value
