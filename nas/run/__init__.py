"""The run folder: written by the search, read by everything after it."""

from nas.run.file import locked, write_atomic
from nas.run.folder import (
    Run,
    check_free,
    front_volume,
    load_run,
    pareto_trials,
    points,
    read_curves,
    weights_file,
    write_curves,
    write_references,
    write_trials,
)
from nas.run.settings import BUDGETS, FORMAT, OBJECTIVES, UNITS, Settings, check_same, read_settings, write_settings
from nas.run.trial import COLUMNS, COST_COLUMNS, Costs, Reference, State, Trial, read_references, read_trials, row_of

__all__ = [
    "BUDGETS",
    "COLUMNS",
    "COST_COLUMNS",
    "FORMAT",
    "OBJECTIVES",
    "UNITS",
    "Costs",
    "Reference",
    "Run",
    "Settings",
    "State",
    "Trial",
    "check_free",
    "check_same",
    "front_volume",
    "load_run",
    "locked",
    "pareto_trials",
    "points",
    "read_curves",
    "read_references",
    "read_settings",
    "read_trials",
    "row_of",
    "weights_file",
    "write_atomic",
    "write_curves",
    "write_references",
    "write_settings",
    "write_trials",
]
