"""What is freed is kept for the next: counted by the pages that the kernel hands out, not by the clock."""

import subprocess
import sys

import pytest

from nas.train.memory import keep_freed_memory

STEPS = """
import resource, sys
from nas.train.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def step():
    b"1" * (64 * 2**20)  # 64 MiB: 16,384 pages
for _ in range(10):  # the heap grows
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="glibc only")
def test_large_memory_is_not_asked_of_the_kernel_again_at_each_step() -> None:
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", STEPS, how], check=True, capture_output=True).stdout)

    pages = 30 * 64 * 2**20 // 4096
    assert faults("keep") < 0.2 * pages < 0.9 * pages < faults("leave")
