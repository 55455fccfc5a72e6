"""How much faster is a start with the graph that ONNX Runtime optimized before? See README.md.

    python start.py [--out start.csv]

One random candidate of a space at 224 pixels, untrained, in fp32 and int8: CPU time from the file's bytes to a session
that is ready, medians of 15 starts in this process, in turn.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from quantization import network_of

from nas.runtimes.board.network import Network
from nas.runtimes.onnxruntime import OnnxRuntime

COLUMNS = ("space", "precision", "from_file_ms", "from_kept_ms", "file_mb", "kept_mb")
STARTS = 15


def start_ms(model: bytes, kept: Path | None) -> float:
    begun = time.process_time()
    network = Network(model, 1, kept)
    passed = 1000 * (time.process_time() - begun)
    assert network.from_kept == (kept is not None)
    return passed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("start.csv"))
    asked = parser.parse_args()
    found = []
    for space in ("tiny", "mobilenet-v3"):
        for precision in ("fp32", "int8"):
            model = OnnxRuntime().write_network(network_of(space, 224, 0), precision, whole=True)  # type: ignore[arg-type]
            with TemporaryDirectory() as folder:
                place = Path(folder) / "kept"
                Network(model, 1, place)
                (file,) = place.iterdir()
                pairs = [(start_ms(model, None), start_ms(model, place)) for _ in range(STARTS)]
                plain, kept = np.median(pairs, axis=0)
                sizes = [f"{size / 1e6:.2f}" for size in (len(model), file.stat().st_size)]
                found.append([space, precision, f"{plain:.1f}", f"{kept:.1f}", *sizes])
                print(*found[-1], flush=True)
    with asked.out.open("w") as file_out:
        csv.writer(file_out, lineterminator="\n").writerows([COLUMNS, *found])


if __name__ == "__main__":
    main()
