"""What a run is made from, as run.toml keeps it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.run.objectives import BUDGETS, LATENCY, OBJECTIVES, Objective

FORMAT = 2  # of a run folder; 1: one basis for latency and energy together
TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": (int, float),
    "tuple[str, ...]": list,
}


@dataclass(frozen=True)
class Settings:
    """Everything that a run is made from. `trials` and `max_minutes` may differ when a run is resumed."""

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
    max_minutes: float = 0.0  # 0: no limit
    dataset_sha256: str = ""
    precisions: tuple[str, ...] = ()  # those that were searched
    early_stopping: bool = False  # what will not reach the front is not trained to the end
    storage: str = ""  # an Optuna URL; empty: journal.log in the folder
    study: str = ""  # its name there
    estimator: str = "proxy"  # what the accuracies come from
    start: int = 0  # trials before the sampler learns, NSGA-II's population; set by the search
    command: str = ""
    created: str = ""
    budgets: Mapping[str, float] = field(default_factory=dict)
    proxy: Mapping[str, Any] = field(default_factory=dict)  # epochs, data_share, resolution_share, ...
    reference_point: Mapping[str, float] = field(default_factory=dict)  # hypervolume's, by cost column
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("objectives", "precisions"):  # TOML has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

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
    def needed(self) -> set[str]:
        """The columns without which a candidate has no cost: those of `costs`, and the latency, which every run has."""
        return {*self.costs, LATENCY.column}

    @property
    def first_cost(self) -> str:
        """The column that trials are ordered by: of the first cost among the objectives, else of the latency."""
        return next(iter(self.costs), LATENCY.column)

    @property
    def limits(self) -> dict[str, float]:
        """The budgets, by the column that each one limits."""
        return {BUDGETS[name].column: float(limit) for name, limit in self.budgets.items()}


SAME = (
    "space", "space_sha256", "device", "device_sha256", "dataset", "dataset_sha256", "classes", "objectives",
    "precisions", "sampler", "early_stopping", "seed", "budgets", "estimator",
    "proxy",
)  # fmt: skip


def check_same(path: Path, settings: Settings) -> None:
    """Raises UserError unless the folder's run has these settings, up to how long it searches."""
    there = read_settings(path)
    for name in SAME:
        was, now = getattr(there, name), getattr(settings, name)
        if was != now:
            raise UserError(f"{path} is another run: its {name} is {_plain(was)}, not {_plain(now)}")


def write_settings(path: Path, settings: Settings) -> None:
    import tomli_w

    table = {"format": FORMAT} | {k: _plain(v) for k, v in asdict(settings).items()}
    write_atomic(path / "run.toml", tomli_w.dumps(table).encode())


def read_settings(path: Path) -> Settings:
    file = path / "run.toml"
    if not file.is_file():
        raise UserError(f"{path} is no run folder: it has no run.toml")
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not TOML: {error}") from None
    if (found := table.pop("format", None)) != FORMAT:
        older = "; an older version of nas wrote this run, and can read it" if found == 1 else ""
        raise UserError(f"{file}: format must be {FORMAT}; got {str(found)[:80]}{older}")
    known = {f.name: f for f in fields(Settings)}
    if odd := sorted(table.keys() - known.keys()):
        raise UserError(f"{file}: unknown key {odd[0]!r}")
    for name, f in known.items():
        if name not in table:
            if f.default is MISSING and f.default_factory is MISSING:
                raise UserError(f"{file}: key {name!r} is missing")
            continue
        if not isinstance(table[name], TYPES.get(str(f.type), dict)):
            raise UserError(f"{file}: {name} must be {f.type}; came {table[name]!r}")
    if odd := [name for name in table.get("budgets", {}) if name not in BUDGETS]:
        raise UserError(f"{file}: unknown budget {odd[0]!r}")
    for key in ("budgets", "reference_point"):
        for value in table.get(key, {}).values():
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise UserError(f"{file}: {key} must hold numbers; came {value!r}")
    if odd := [name for name in table["objectives"] if name not in OBJECTIVES]:
        raise UserError(f"{file}: unknown objective {odd[0]!r}")
    return Settings(**table)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return list(value) if isinstance(value, tuple) else value
