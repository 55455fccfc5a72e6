"""A profile by vela: what it holds, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from nas.device.cost import predict
from nas.device.profile import read_profile
from nas.device.support.target import target_of
from nas.errors import UserError
from nas.profiling.vela import profile as module
from nas.profiling.vela.compiler import Estimate
from nas.profiling.vela.configurations import Configuration
from nas.profiling.vela.profile import vela_profile
from nas.space.block_table import all_blocks
from nas.space.network import Network
from nas.space.search_space import load_space


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler by which a million MACs take a tenth of a ms, a network 1% more than its blocks, and an activation
    value a byte of SRAM; the wide first blocks have an operator for the CPU."""

    def estimates(jobs: Sequence[Network], chosen: Configuration, sram_kib: int, scratch: Path) -> Iterator[Estimate]:
        (scratch / "at-work").mkdir()
        for network in jobs:
            layers = [layer for block in network.blocks for layer in block.layers]
            ms = sum(layer.macs for layer in layers) / 1e7 * (1.01 if len(network.blocks) > 1 else 1.0)
            yield Estimate(ms, max(x.live for x in layers) / 1024, 0, 500.0, 3.7, 0.47)

    monkeypatch.setattr(module, "estimates", estimates)
    monkeypatch.setattr(module, "vela_version", lambda: "5.2.0")


@pytest.mark.usefixtures("counted")
def test_a_profile_holds_every_block_and_says_that_it_is_an_estimate(tmp_path: Path) -> None:
    found = vela_profile(["tiny"], "ethos-u55-128", tmp_path / "mine", resolution=32, sram_kib=64, networks=6)
    read = read_profile(tmp_path / "mine")
    assert read.basis == "compiler estimate" and read.about.target == "ethos-u55" and not read.has_energy
    assert {t.block for t in read.lookup_table} == {b.key for b in all_blocks(load_space("tiny"), resolution=32)}
    assert all(t.sram_kib is not None and t.sram_kib > 0 for t in read.lookup_table)
    assert read.about.calibration["int8"].slope == pytest.approx(1.01)
    assert found.error.mean < 1e-6 and found.error.macs < 1e-6 < found.error.constant and found.error.networks == 6
    assert "Plain sums of blocks are off by 0.99% (tiny) on average" in read.about.protocol
    assert read.about.command == (
        "nas profile vela --config ethos-u55-128 --space tiny --resolution 32 --sram 64 --networks 6 --seed 0 "
        "--name mine"
    )
    space = load_space("tiny")
    network = space.network(space.sample(np.random.default_rng(0)))
    if network.input_shape[1] != 32:
        network = space.network(space.canonical(space.decode(np.zeros(len(space.choices)) + 1)))
    cost = predict(read, network, "int8")
    assert cost.latency_basis == "estimated"
    assert cost.latency_ms == pytest.approx(1.01 * network.macs / 1e7)


@pytest.mark.usefixtures("counted")
def test_blocks_beyond_the_chips_sram_do_not_map(tmp_path: Path) -> None:
    """At 96 pixels a block of the tiny space with stride 2 and 6 times 24 channels holds more than 64 KiB."""
    vela_profile(["tiny"], "ethos-u55-128", tmp_path / "mine", sram_kib=64, networks=6)
    profile = read_profile(tmp_path / "mine")
    target = target_of(profile)
    assert target is not None
    odd = [b for b in all_blocks(load_space("tiny")) if target.fault(b)]
    assert odd and all("KiB of SRAM; the chip has 64" in target.fault(b) for b in odd)
    assert all(max(layer.live for layer in b.layers) > 64 * 1024 for b in odd)


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"spaces": []}, "name at least one search space"),
        ({"spaces": ["tiny", "nothing"]}, "unknown search space 'nothing'"),
        ({"configuration": "ethos-u55"}, "unknown configuration 'ethos-u55'"),
        ({"networks": 3}, "at least 4 whole networks of a space check its blocks; got 3"),
        ({"sram_kib": 0}, "SRAM must be 1 KiB or more"),
        ({"seed": -1}, "the seed 0 or more"),
        ({"resolution": 33}, "--resolution must be one of the space's"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path: Path, changed: dict, said: str) -> None:
    given = {"spaces": ["tiny"], "configuration": "ethos-u55-128", "folder": tmp_path / "p"} | changed
    with pytest.raises(UserError, match=said):
        vela_profile(**given)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("counted")
def test_nothing_but_the_profile_is_left_also_of_a_process_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "profiles" / ".p-compiling"
    (left / "tmp1").mkdir(parents=True)
    (left / "tmp1" / "network.tflite").write_bytes(b"half")
    vela_profile(["tiny"], "ethos-u55-128", tmp_path / "profiles" / "p", resolution=32, networks=4)
    assert [entry.name for entry in (tmp_path / "profiles").iterdir()] == ["p"]

    def interrupted(*given: object) -> Iterator[Estimate]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(module, "estimates", interrupted)
    with pytest.raises(KeyboardInterrupt):
        vela_profile(["tiny"], "ethos-u55-128", tmp_path / "new" / "q", resolution=32, networks=4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["profiles"]


@pytest.mark.usefixtures("counted")
def test_a_second_process_on_the_same_profile_is_refused(tmp_path: Path) -> None:
    from nas.files.lock import locked

    with locked(tmp_path / ".p-compiling"), pytest.raises(UserError, match=r"another process is estimating .*p; wait"):
        vela_profile(["tiny"], "ethos-u55-128", tmp_path / "p", resolution=32, networks=4)


@pytest.mark.usefixtures("counted")
def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not a device profile and holds other files"):
        vela_profile(["tiny"], "ethos-u55-128", tmp_path)


def test_blocks_with_an_operator_on_the_cpu_are_named_and_have_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: None
) -> None:
    plain = module.estimates

    def with_cpu(jobs: Sequence[Network], chosen: Configuration, sram_kib: int, scratch: Path) -> Iterator[Estimate]:
        for network, found in zip(jobs, plain(jobs, chosen, sram_kib, scratch), strict=True):
            odd = any(block.kind == "mbconv" and block.kernel == 5 and block.stride == 1 for block in network.blocks)
            yield Estimate(found.ms, found.sram_kib, int(odd), 500.0, 3.7, 0.47)

    monkeypatch.setattr(module, "estimates", with_cpu)
    found = vela_profile(["tiny"], "ethos-u55-128", tmp_path / "p", resolution=32, networks=40)
    assert found.left_out and all("-k5-s1-" in key for key in found.left_out)
    read = read_profile(tmp_path / "p")
    assert not {t.block for t in read.lookup_table} & set(found.left_out)
    assert 4 <= len(read.validation) < 40
