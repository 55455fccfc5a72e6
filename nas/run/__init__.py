"""The run folder: written by the search, read by everything after it."""

from nas.files.atomic import make_folder, write_atomic
from nas.files.lock import locked
from nas.run.average_precision import AveragePrecision
from nas.run.curves import read_curves, read_errors, write_curves
from nas.run.folder import Run, check_free, load_run, model_folder, trained_folder, write_references
from nas.run.front import Front, front_volume, pareto_trials, points, volume_over_trials
from nas.run.measured import MeasuredCosts, read_measured, write_measured
from nas.run.objectives import (
    ACCURACY,
    BUDGETS,
    LATENCY,
    OBJECTIVES,
    ROBUST_ACCURACY,
    UNITS,
    Objective,
    check_budgets,
    check_objectives,
    default_objectives,
)
from nas.run.rank_quality import RankQuality
from nas.run.settings import FORMAT, SAME, Settings, check_same, read_settings, write_settings
from nas.run.storage import Storage, public_url, read_storage
from nas.run.tables import Tables, columns_for, front_summary, has_ended, write_trials
from nas.run.ties import TIE_DEVIATIONS, distinct, expected, tied
from nas.run.trial import (
    BASES,
    COLUMNS,
    COST_COLUMNS,
    Costs,
    Reference,
    State,
    Trial,
    csv_bytes,
    read_references,
    read_trials,
    row_of,
)

__all__ = [
    "ACCURACY",
    "BASES",
    "BUDGETS",
    "COLUMNS",
    "COST_COLUMNS",
    "FORMAT",
    "LATENCY",
    "OBJECTIVES",
    "ROBUST_ACCURACY",
    "SAME",
    "TIE_DEVIATIONS",
    "UNITS",
    "AveragePrecision",
    "Costs",
    "Front",
    "MeasuredCosts",
    "Objective",
    "RankQuality",
    "Reference",
    "Run",
    "Settings",
    "State",
    "Storage",
    "Tables",
    "Trial",
    "check_budgets",
    "check_free",
    "check_objectives",
    "check_same",
    "columns_for",
    "csv_bytes",
    "default_objectives",
    "distinct",
    "expected",
    "front_summary",
    "front_volume",
    "has_ended",
    "load_run",
    "locked",
    "make_folder",
    "model_folder",
    "pareto_trials",
    "points",
    "public_url",
    "read_curves",
    "read_errors",
    "read_measured",
    "read_references",
    "read_settings",
    "read_storage",
    "read_trials",
    "row_of",
    "tied",
    "trained_folder",
    "volume_over_trials",
    "write_atomic",
    "write_curves",
    "write_measured",
    "write_references",
    "write_settings",
    "write_trials",
]
