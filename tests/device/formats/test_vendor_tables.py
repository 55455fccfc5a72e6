"""Published latencies: what can be built is read, what cannot is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.device.formats.vendor_tables import read_published
from nas.errors import UserError
from tests.shared_data import shared_data

HEAD = "model,family,width_mult,resolution,precision,device,accelerator,threads,latency_ms\n"


def table(folder: Path, *rows: str) -> Path:
    (folder / "published.csv").write_text(HEAD + "\n".join(rows))
    return folder / "published.csv"


def test_networks_are_built_and_the_others_named(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "V1,mobilenet_v1,0.5,224,fp32,Phone,CPU,1,10", "V1_distilled,mobilenet_v1,0.5,224,fp32,Phone,CPU,1,10",
        "V2,mobilenet_v2,1,224,fp32,Phone,CPU,4,9", "Ghost,ghostnet,1,224,fp32,Phone,CPU,1,8",
    )  # fmt: skip
    found = read_published(path, "Phone/CPU/1")
    assert [(run.name, run.latency_ms, run.network.classes) for run in found.runs] == [
        ("mobilenet_v1-0.5@224", 10, 1000)
    ]
    assert found.left_out == ("Ghost",)


@pytest.mark.parametrize(
    ("rows", "platform", "message"),
    [
        (
            ["V1,mobilenet_v1,1,224,fp32,Phone,CPU,1,10"],
            "Phone",
            "unknown platform 'Phone'; did you mean 'Phone/CPU/1'",
        ),
        (["V1,mobilenet_v1,1,224,fp32,P,CPU,1,10", "W1,mobilenet_v1,1,224,fp32,P,CPU,1,11"], "P/CPU/1", "line 3 gives"),
        (["V1,mobilenet_v1,1,224,fp32,P,CPU,1,0"], "P/CPU/1", "latency_ms must be a finite number above 0; line 2"),
    ],
)
def test_rows_that_contradict_or_lack_something_are_refused(
    rows: list[str], platform: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        read_published(table(tmp_path, *rows), platform)


def test_the_snapdragon_855_has_twenty_networks_and_the_pixel_4_too_few() -> None:
    path = shared_data("published_tables/published_latency_accuracy.csv")
    assert len(read_published(path, "Snapdragon 855/CPU (Paddle-Lite)/1").runs) == 20
    assert len(read_published(path, "Pixel 4/CPU/4").runs) == 10  # five in each precision
    assert len(read_published(path, "Coral Dev Board/EdgeTPU/").runs) < 3
