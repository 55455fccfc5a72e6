"""The search: `nas.search(...)` is the main job (`nas.search.api.search`).

`from nas.search import ParetoSampler`: the sampler, for any Optuna study.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "ParetoSampler":  # late: Optuna takes a second to start
        from nas.search.samplers.pareto.sampler import ParetoSampler

        return ParetoSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
