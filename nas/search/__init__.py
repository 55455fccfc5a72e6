"""The search. `nas.search(...)` runs the main job, so this module can be called: see `nas.search.api.search_front`.

`nas.search.ParetoSampler` is the sampler, for any Optuna study.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "ParetoSampler":  # late: Optuna takes a second to start
        from nas.search.samplers.pareto.sampler import ParetoSampler

        return ParetoSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from nas.search.api import search_front

        return search_front(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
