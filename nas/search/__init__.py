"""The search. `nas.search(...)` runs the main job, so this module can be called: see `nas.search.job.search_front`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from nas.search.job import search_front

        return search_front(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
