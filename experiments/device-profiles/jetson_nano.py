"""Does a fit to whole networks beat their MACs on a Jetson Nano? See README.md.

    python jetson_nano.py            # pip install timm

jetson_nano.csv: milliseconds that ncnn publishes for the board (Tencent/ncnn, benchmark/README.md, BSD-3-Clause, July
2026; the least of eight runs), as far as torchvision and timm have the network.
"""

from __future__ import annotations

from pathlib import Path

import torchvision

from nas.device.fit.rates import fit_profile
from nas.device.formats.mlperf import Run
from nas.files.csv import read_rows
from nas.models.trace import read_timm, trace_module
from nas.space.layer import Precision
from nas.space.network import Network

FILE = Path(__file__).with_name("jetson_nano.csv")
HOW: dict[str, Precision] = {"fp16 GPU": "fp16", "fp32 4 threads": "fp32"}


def network_of(name: str, resolution: int) -> Network:
    library, _, model = name.partition(":")
    if library == "timm":
        return read_timm(model, resolution).network
    made = {"init_weights": False} if model in ("googlenet", "vgg16") else {}
    made |= {"aux_logits": False} if model == "googlenet" else {}
    return trace_module(torchvision.models.get_model(model, weights=None, **made), (3, resolution, resolution)).network


def main() -> None:
    rows = [row for _, row in read_rows(FILE, ("network", "family", "resolution", *HOW))]
    networks = {row["network"]: network_of(row["network"], int(row["resolution"])) for row in rows}
    print("| how | networks | held out | constant | MACs | rates | Spearman |\n|---|---|---|---|---|---|---|")
    for how, precision in HOW.items():
        runs = [
            Run(row["network"], row["family"], networks[row["network"]], precision, float(row[how])) for row in rows
        ]
        for e in fit_profile(runs).errors:
            figures = " | ".join(f"{100 * x:.0f}%" for x in (e.constant, e.macs, e.mean))
            print(f"| {how} | {e.networks} | by {e.split} | {figures} | {e.spearman:.2f} |")


if __name__ == "__main__":
    main()
