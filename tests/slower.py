"""A machine that is so many times slower, for the tests: `pytest --slower 3` scales every time that the agent measures.

No test may depend on how fast its machine is. The clock of the agent is scaled in this process, and in the agents that
bundles carry; what a run of a model takes, and nothing else, is longer.
"""

from __future__ import annotations

from textwrap import indent

from nas.files import zipapp
from nas.profiling.agent.runner import Runner

_SCALED = """
from agent.runner import Runner
set_clock = Runner.set_clock
def slower(self, alone):
    set_clock(self, alone)
    clock = self.clock
    self.clock = lambda: {factor!r} * clock()
Runner.set_clock = slower
"""


def slow_down(factor: float) -> None:
    """Scales the agent's clock from now on, in this process and in every bundle that it writes."""
    set_clock = Runner.set_clock

    def slower(self: Runner, alone: bool) -> None:
        set_clock(self, alone)
        clock = self.clock
        self.clock = lambda: factor * clock()

    Runner.set_clock = slower  # type: ignore[method-assign]
    before, start, after = zipapp.MAIN.partition("from {name}.")
    scaled = 'if "{name}" == "agent":' + indent(_SCALED.format(factor=factor), "    ")
    zipapp.MAIN = before + scaled + start + after
