"""Is int8 faster than fp32 on a board? From MLPerf Inference's audited single-stream runs; see README.md.

    python boards.py singlestream_latency_energy_mobile.csv [--out boards.csv]

A row a board, runtime and family of networks: the median, the least and the most of int8's latency over fp32's, of the
same network (width and resolution), and of the energies where both runs have them; and what int8 loses on ImageNet.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from statistics import median

from nas.files.csv import csv_text

COLUMNS = ("board", "runtime", "networks", "pairs", "latency_ratio", "least", "most", "energy_ratio", "points_lost")
BOARDS = {"rpi4": "Raspberry Pi 4", "raspberrypi4": "Raspberry Pi 4", "firefly": "Firefly RK3588S",
          "vim4": "Khadas VIM4", "orin": "Jetson AGX Orin", "nvidia_orin": "Jetson AGX Orin",
          "nvidia_jetson_orin": "Jetson AGX Orin", "xavier": "Jetson AGX Xavier"}  # fmt: skip
Key = tuple[str, str, str]  # board, runtime, family


def board_of(platform: str) -> str:
    """The board whose name a platform begins with; the platform itself where there is none."""
    return next((name for start, name in BOARDS.items() if platform.lower().startswith(start)), platform)


def runtime_of(row: dict[str, str]) -> str:
    """The framework, and what it computed on where it says so."""
    kind = [part for part in ("opencl", "neon", "xnnpack", "ruy") if part in row["platform"].lower()]
    own = row["framework"].lower().startswith("ctuning")  # a build of TFLite, with Arm NN behind it or alone
    name = "TFLite of cTuning" if own else row["framework"].split(" (")[0]
    return f"{name}{f' ({kind[0]})' if kind else ''}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, default=Path("boards.csv"))
    asked = parser.parse_args()
    networks: dict[tuple[str, ...], dict[str, dict[str, str]]] = defaultdict(dict)
    with asked.table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            same = (row["version"], row["platform"], row["family"], row["width_mult"], row["resolution"])
            networks[same][row["precision"]] = row
    pairs: dict[Key, list[tuple[dict[str, str], dict[str, str]]]] = defaultdict(list)
    for found in networks.values():
        if "fp32" in found and "int8" in found:
            row = found["fp32"]
            pairs[board_of(row["platform"]), runtime_of(row), row["family"]].append((found["int8"], row))
    rows = []
    for key, both in sorted(pairs.items()):
        times = [float(a["latency_ms"]) / float(b["latency_ms"]) for a, b in both]
        name = "energy_mj_per_inference"
        energies = [float(a[name]) / float(b[name]) for a, b in both if a[name] and b[name]]
        lost = [float(b["imagenet_top1"]) - float(a["imagenet_top1"]) for a, b in both
                if a["imagenet_top1"] and b["imagenet_top1"]]  # fmt: skip
        rows.append((
            *key, len(both), *(f"{x:.2f}" for x in (median(times), min(times), max(times))),
            f"{median(energies):.2f}" if energies else "", f"{median(lost):.1f}" if lost else "",
        ))  # fmt: skip
    asked.out.write_text(csv_text(COLUMNS, rows), "utf-8")
    print(asked.out.read_text("utf-8"))


if __name__ == "__main__":
    main()
