"""Tables that hold only what a space searches: the sums of whole networks come out as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.device.cost import price
from nas.device.formats import help as help_networks
from nas.device.formats.relative_tables import import_hwnasbench, import_singlepath
from nas.device.profile import load_device
from nas.errors import UserError
from nas.space.block_table import BlockTable, block_table
from nas.space.candidate import Candidate, Value
from nas.space.network import Network
from nas.space.search_space import load_space
from tests.shared_data import shared_data

OPS = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6")
GROUPS = [  # input height, channels in and out, stride: the 12 kinds of place of FBNet's 22 layers
    (32, 16, 16, 1), (32, 16, 24, 1), (32, 24, 24, 1), (32, 24, 32, 2), (16, 32, 32, 1), (16, 32, 64, 2),
    (8, 64, 64, 1), (8, 64, 112, 1), (8, 112, 112, 1), (8, 112, 184, 2), (4, 184, 184, 1), (4, 184, 352, 1),
]  # fmt: skip


def table(folder: Path, rows: list[str] | None = None) -> Path:
    """Every block 1 ms slower than the skip."""
    path = folder / "fbnet.csv"
    every = [",".join(map(str, (*group, op, 1.0))) for group in GROUPS for op in OPS]
    path.write_text("\n".join(["H_in,Cin,Cout,stride,op,board_ms_rel_to_skip", *(every if rows is None else rows)]))
    return path


def uniform(name: str, **given: Value) -> Network:
    space = load_space(name)
    values = {
        c.name: given.get(c.name.rpartition(".")[2], c.options[-1] if c.options else c.low) for c in space.choices
    }
    return space.network(Candidate.of(values))


def total(times: dict[str, float], network: Network) -> float:
    return sum(times[block.key] for block in network.blocks)


def test_what_all_networks_have_in_common_adds_up_to_the_rest(tmp_path: Path) -> None:
    times = {t.block: t.median_ms for t in import_hwnasbench(table(tmp_path), "board", 8.0)}
    assert total(times, uniform("fbnet-cifar", op="skip")) == pytest.approx(8)
    assert total(times, uniform("fbnet-cifar", op="k5_e6")) == pytest.approx(8 + 22)
    assert min(times.values()) > 0


@pytest.mark.parametrize(("device", "column"), [("raspberry-pi-4-fbnet", "raspi4"), ("pixel-3-fbnet", "pixel3")])
def test_shipped_fbnet_tables_give_the_published_sums(
    device: str, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(help_networks, "SUMS", ())  # read as if they were measurements
    networks = help_networks.read_fbnet(shared_data("fbnet_help/fbnet_latency_ms.csv"), column)
    prices = price(load_device(device), networks.blocks, "fp32")
    assert np.abs(prices.latency_ms - networks.latency_ms).max() < 1e-4
    assert set(prices.latency_basis) == {0}  # measured


def test_single_path_adds_the_published_rest() -> None:
    """Layers 1 to 20 with kernel 3 and expansion 3, added up by hand from the published table; the rest is 19.5999."""
    searched = (
        4.4905 + (3.4111 + 3.4223 + 3.4216) + 1.9593 + (2.0489 + 2.0503 + 2.0762) + 1.2320 + (1.5806 + 1.5785 + 1.5869)
        + 1.7339 + (2.1805 + 2.1805 + 2.1938) + 1.6163 + (2.4304 + 2.4598 + 2.4381)
    )  # fmt: skip
    space = load_space("single-path")
    network = uniform("single-path", depth=4, kernel=3, expand=3)
    prices = price(
        load_device("pixel-1-mnasnet"), BlockTable(network.blocks, np.arange(len(network.blocks))[:, None]), "fp32"
    )
    assert prices.latency_ms[0] == pytest.approx(searched + 19.5999, abs=1e-3)
    codes = space.sample_codes(200, np.random.default_rng(0))
    assert np.isfinite(price(load_device("pixel-1-mnasnet"), block_table(space, codes), "fp32").latency_ms).all()


def test_the_table_of_single_path_imported_anew_is_the_shipped_one() -> None:
    path = shared_data("luts/singlepath_mnasnet_pixel1_lut.csv")
    found = {t.block: t.median_ms for t in import_singlepath(path, "", 19.5999)}
    shipped = {block: t.median_ms for (block, _), t in load_device("pixel-1-mnasnet").times.items()}
    assert found == pytest.approx(shipped, rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "platform", "rest", "message"),
    [
        (None, "bord", 8.0, "unknown platform 'bord'; did you mean 'board'"),
        (None, "board", 0.0, "the rest must be above 0 ms .*; got 0"),
        (["32,16,16,1,k3_e1,1.0"], "board", 8.0, "lacks 95 blocks of fbnet-cifar"),
        (["32,16,16,1,k3_e1,1", "32,16,16,1,k3_e1,1"], "board", 8.0, "line 3 must be a block of .* listed once"),
        (["32,16,17,1,k3_e1,1"], "board", 8.0, "line 2 must be a block of fbnet-cifar"),
        (["32,16,16,1,k3_e1,-1"], "board", 8.0, "with the rest, board_ms_rel_to_skip must be above 0 ms; line 2"),
        (["32,16,16,1,k3_e1,x"], "board", 8.0, "must be a finite number .*; line 2 has 'x'"),
        (["a,16,16,1,k3_e1,1"], "board", 8.0, "H_in must be a whole number of 1 or more; line 2 has 'a'"),
    ],
)
def test_a_table_that_is_none_is_refused(
    rows: list[str] | None, platform: str, rest: float, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        import_hwnasbench(table(tmp_path, rows), platform, rest)
