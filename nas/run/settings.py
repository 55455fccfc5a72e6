"""What a run is made from, as run.toml keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.toml import SHOWN, Table, read_toml
from nas.run.average_precision import MOST_CLASSES
from nas.run.objectives import BUDGETS, LATENCY, OBJECTIVES, Objective, check_budgets, check_objectives
from nas.run.storage import public_url
from nas.space.layer import Precision

FORMAT = 2  # of a run folder; 1: one basis for latency and energy together
MOST = 2**63 - 1
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Settings:
    """Everything that a run is made from. `trials`, `max_minutes` and `confirm` may differ when it is resumed."""

    space: str
    space_sha256: str
    device: str
    device_sha256: str
    dataset: str
    classes: int
    objectives: tuple[str, ...]
    sampler: str
    seed: int
    trials: int
    max_minutes: float = 0.0  # of trainings; 0: no limit
    minutes: float = 0.0  # that the whole search was given, and was planned by; 0: it was not
    confirm: float = 0.0  # share of the trials, or of the time, for training networks again with other seeds
    dataset_sha256: str = ""
    task: str = "classification"  # what the networks are for; of detection an accuracy is COCO's mAP
    class_names: tuple[str, ...] = ()  # of detection, where there are not too many
    validation_images: int = 0  # that accuracies were measured on, of detection objects; 0: exact, or nobody can say
    precisions: tuple[str, ...] = ()  # those that were searched
    target: str = ""  # the accelerator that every network must run on as a whole; empty: none
    target_sha256: str = ""  # of its rules
    early_stopping: bool = False  # what will not reach the front is not trained to the end
    storage: str = ""  # an Optuna URL without its secrets (`nas.run.storage`); empty: journal.log in the folder
    study: str = ""  # its name there
    estimator: str = "proxy"  # what the accuracies come from
    estimator_sha256: str = ""  # of the file that it reads, if any
    guide: str = ""  # scores of untrained networks, with + between, that told the search where to begin; empty: none
    guide_networks: int = 0  # that were scored
    start: int = 0  # trials before the sampler learns, NSGA-II's population; set by the search
    command: str = ""
    created: str = ""
    budgets: Mapping[str, float] = field(default_factory=dict)
    proxy: Mapping[str, Any] = field(default_factory=dict)  # epochs, data_share, resolution_share, ...
    estimator_settings: Mapping[str, Any] = field(default_factory=dict)  # its own; a proxy training has `proxy`
    reference_point: Mapping[str, float] = field(default_factory=dict)  # hypervolume's, by cost column
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("objectives", "precisions", "class_names"):  # TOML has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def space_name(self) -> str:
        """The space's name, also where `space` is a file."""
        return Path(self.space).stem

    @property
    def device_name(self) -> str:
        """The device's name, also where `device` is a profile's folder."""
        return Path(self.device).name

    @property
    def goals(self) -> tuple[Objective, ...]:
        """The objectives themselves, of which `objectives` has the names."""
        return tuple(OBJECTIVES[name] for name in self.objectives)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of each objective."""
        return tuple(goal.column for goal in self.goals)

    @property
    def costs(self) -> tuple[str, ...]:
        """The columns of the objectives that are known before training."""
        return tuple(goal.column for goal in self.goals if goal.known)

    @property
    def learned(self) -> tuple[str, ...]:
        """The columns of the objectives that a training tells."""
        return tuple(goal.column for goal in self.goals if not goal.known)

    @property
    def needed(self) -> set[str]:
        """The columns without which a candidate has no cost: those of `costs`, and the latency, which every run has."""
        return {*self.costs, LATENCY.column}

    @property
    def first_cost(self) -> str:
        """The column that trials are ordered by: of the first cost among the objectives, else of the latency."""
        return next(iter(self.costs), LATENCY.column)

    @property
    def passes(self) -> float | None:
        """How often a proxy training sees the training images; None where that is not known."""
        epochs, share = self.proxy.get("epochs"), self.proxy.get("data_share")
        return epochs * share if isinstance(epochs, int | float) and isinstance(share, int | float) else None

    @property
    def guide_weight(self) -> float:
        """The weight of the guide beside accuracies (`score_weight`); 0 where nobody knows how long trainings are."""
        return 0.0 if self.passes is None else score_weight(self.passes)

    @property
    def limits(self) -> dict[str, float]:
        """The budgets, by the column that each one limits."""
        return {BUDGETS[name].column: float(limit) for name, limit in self.budgets.items()}


HALVED = 15.0  # passes over the images, by which the bias of short trainings falls to a half (nas.report.ties)


def score_weight(passes: float) -> float:
    """What a score of untrained networks counts, beside accuracies of so many `passes`, which count the rest.

    After one pass over CIFAR-10 a training tells as much as zero-cost scores do, after a seventh of one next to nothing
    (experiments/real-front, who_decides.py); its bias is then a half after HALVED further ones.
    """
    return 1 / (1 + min(passes, 1.0) + max(passes - 1.0, 0.0) / HALVED)


SAME = (
    "space", "space_sha256", "device", "device_sha256", "dataset", "dataset_sha256", "classes", "objectives",
    "precisions", "target", "target_sha256", "sampler", "early_stopping", "seed", "budgets", "estimator",
    "estimator_sha256", "estimator_settings", "proxy", "guide",
)  # fmt: skip
NOTE = """# Repeats the run: nas search --resume FOLDER goes on with it.
# `storage` lacks the password and options of its URL: give the whole one again with --storage; the password may come
# from the environment variable NAS_STORAGE_PASSWORD.
"""


class _File(Table):
    """run.toml."""

    format: int
    space: str
    space_sha256: str
    device: str
    device_sha256: str
    dataset: str
    classes: int = Field(ge=1, le=100_000)
    objectives: list[str]
    sampler: str
    seed: int = Field(ge=0, le=MOST)
    trials: int = Field(ge=1, le=MOST)
    max_minutes: float = Field(0.0, ge=0)
    minutes: float = Field(0.0, ge=0)
    confirm: float = Field(0.0, ge=0, lt=1)
    dataset_sha256: str = ""
    task: str = "classification"  # what the networks are for; of detection an accuracy is COCO's mAP
    class_names: list[Annotated[str, Field(max_length=200)]] = Field([], max_length=MOST_CLASSES)
    validation_images: int = Field(0, ge=0, le=MOST)
    precisions: list[Precision] = []
    target: str = ""
    target_sha256: str = ""
    early_stopping: bool = False
    storage: str = ""
    study: str = ""
    estimator: str = "proxy"
    estimator_sha256: str = ""
    guide: str = Field("", max_length=200)
    guide_networks: int = Field(0, ge=0, le=10_000)
    start: int = Field(0, ge=0, le=10_000)
    command: str = ""
    created: str = ""
    budgets: dict[str, Positive] = {}
    proxy: dict[str, bool | int | float | str] = {}
    estimator_settings: dict[str, bool | int | float | str] = {}
    reference_point: dict[str, Positive] = {}
    versions: dict[str, str] = {}

    @field_validator("format")
    @classmethod
    def _known(cls, found: int) -> int:
        if found != FORMAT:
            older = "; an older version of nas wrote this run, and can read it" if found == 1 else ""
            raise ValueError(f"must be {FORMAT}; got {str(found)[:SHOWN]}{older}")
        return found


def check_same(path: Path, settings: Settings) -> None:
    """Raises UserError unless the folder's run has these settings, up to how long it searches."""
    there = read_settings(path)
    for name in SAME:
        was, now = (str(_plain(getattr(s, name)))[:SHOWN] for s in (there, settings))
        if getattr(there, name) != getattr(settings, name):
            raise UserError(f"{path} is another run: its {name} is {was}, not {now}")


def write_settings(path: Path, settings: Settings) -> None:
    """Writes run.toml. Raises UserError when the disk is full."""
    import tomli_w

    table = {"format": FORMAT} | {k: _plain(v) for k, v in asdict(settings).items() if v or k != "class_names"}
    write_atomic(path / "run.toml", (NOTE * bool(settings.storage) + tomli_w.dumps(table)).encode())


def read_settings(path: Path) -> Settings:
    """The settings of a run folder. Raises UserError, naming file and key, for what no search would have written."""
    file = path / "run.toml"
    if not file.exists():
        raise UserError(f"{path} is not a run folder: it has no run.toml")
    table = read_toml(file, _File).model_dump(exclude={"format"})
    try:
        check_objectives(table["objectives"])
        check_budgets(list(table["budgets"]))
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    if odd := sorted(table["reference_point"].keys() - {o.column for o in OBJECTIVES.values() if o.known}):
        raise UserError(f"{file}: reference_point: must be of costs; got {odd[0][:SHOWN]!r}")
    if len(table["class_names"]) not in (0, table["classes"]):
        raise UserError(f"{file}: class_names: must be {table['classes']:,}; got {len(table['class_names']):,}")
    costs = (OBJECTIVES[name].column for name in table["objectives"] if OBJECTIVES[name].known)
    if lacking := [column for column in costs if column not in table["reference_point"]]:
        raise UserError(f"{file}: reference_point: must have each objective that is a cost; {lacking[0]} is missing")
    if table["storage"]:  # the first runs kept the password
        public = public_url(table["storage"], f"{file}: storage")
        table |= {"storage": public, "command": table["command"].replace(table["storage"], public)}
    return Settings(**table)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return list(value) if isinstance(value, tuple) else value
