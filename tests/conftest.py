"""What every process of the tests begins with."""

import os
import signal

import pytest

# One thread each: pytest-xdist runs a process for each processor, and more threads would only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Started in the background, a shell's job ignores interrupts, and so would the programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slower", type=float, default=1.0, help="the factor by which models seem to take longer to run")
    parser.addoption("--every-kill", action="store_true", help="kill at every moment, not at some drawn from all")


def pytest_configure(config: pytest.Config) -> None:
    if (factor := config.getoption("--slower")) != 1:
        from tests.slower import slow_down

        slow_down(factor)
