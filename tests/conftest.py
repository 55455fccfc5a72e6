"""One thread a process: pytest-xdist runs a process for each processor, and more threads would only wait."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
