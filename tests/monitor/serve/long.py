"""Serves a stand-in network for long, and prints what grows: python -m tests.monitor.serve.long [FRAMES]."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.options import Options
from tests.monitor.serve.deployments import make_version, picture
from tests.monitor.serve.fakes import Healthy, uneven


def held_mb() -> float:
    """Memory that this process holds."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1000


def main() -> None:
    count, started = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_version(folder, 1)

        def frames() -> Iterator[np.ndarray]:
            frame = picture("red")
            for number in range(count):
                if number % (count // 5) == count // 10:
                    print(f"{number:,} frames: {held_mb():.1f} MB", flush=True)
                yield frame

        Serving(folder, Options(every=True, quiet=True), loader=uneven(folder), health=Healthy()).run(
            of_arrays(frames())
        )
        size = sum(path.stat().st_size for path in (folder / "monitor").rglob("*") if path.is_file())
        print(f"{time.process_time() - started:.0f} s of CPU, {held_mb():.1f} MB, {size / 1e6:.1f} MB in monitor/")


if __name__ == "__main__":
    main()
