"""Vela's summary is read as it writes it; and where vela is installed, it is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UserError, unknown
from nas.profiling.vela.compiler import estimates, read_summary, vela_version
from nas.profiling.vela.configurations import CONFIGURATIONS, configuration_of
from nas.space.network import Network
from tests.device.hand_made import NETWORK

RECORDED = Path(__file__).parents[1] / "recorded"
SUMMARY, SAID = RECORDED / "vela_summary.csv", (RECORDED / "vela_output.txt").read_text()


def test_the_summary_of_vela_5_2_is_read() -> None:
    """A network of the mobilenet-v2 space, 214 million MACs: 13.95 ms, 786.25 KiB, 57 operators, none on the CPU."""
    found = read_summary(SUMMARY, SAID)
    assert (found.ms, found.sram_kib, found.on_cpu) == (13.95171, 786.25, 0)
    assert found.clock_mhz == 500 and found.sram_gb_s == pytest.approx(3.73, abs=0.01)
    assert found.flash_gb_s == pytest.approx(0.466, abs=0.001)


def test_operators_on_the_cpu_are_counted() -> None:
    assert read_summary(SUMMARY, SAID.replace("CPU operators = 0 (", "CPU operators = 12 (")).on_cpu == 12


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("inference_time", "time", "needs the columns inference_time, .*; missing inference_time"),
        ("0.01395171", "-1", "inference_time must be a finite number above 0; line 2 has '-1'"),
        ("0.01395171", "nan", "inference_time must be a finite number above 0; line 2 has 'nan'"),
        ("786.25", "much", "sram_memory_used must be a finite number of 0 or more; line 2 has 'much'"),
    ],
)
def test_a_summary_of_another_kind_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = SUMMARY.read_text()
    assert old in text
    (tmp_path / "s.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=said):
        read_summary(tmp_path / "s.csv", SAID)


def test_a_summary_without_a_row_or_a_word_on_the_cpu_is_refused(tmp_path: Path) -> None:
    lines = SUMMARY.read_text().splitlines()
    (tmp_path / "s.csv").write_text(lines[0] + "\n")
    with pytest.raises(UserError, match="a summary must have one row; got 0"):
        read_summary(tmp_path / "s.csv", SAID)
    with pytest.raises(UserError, match="vela must say how many operators stay on the CPU"):
        read_summary(SUMMARY, "Network summary for m\n")


def test_configurations_are_those_that_vela_has() -> None:
    assert configuration_of("ethos-u55-128").target == "ethos-u55"
    assert len(CONFIGURATIONS) == 11 and {c.target for c in CONFIGURATIONS.values()} == {
        "ethos-u55", "ethos-u65", "ethos-u85"
    }  # fmt: skip
    with pytest.raises(UserError) as refused:
        configuration_of("ethos-u55-127")
    assert str(refused.value) == str(unknown("configuration", "ethos-u55-127", CONFIGURATIONS))


def test_without_vela_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("nas.profiling.vela.compiler.version", absent)
    with pytest.raises(UserError, match=r"pip install 'ethos-u-vela>=5\.2,<6'"):
        vela_version()
    with pytest.raises(UserError, match="pip install 'ethos-u-vela"):
        list(estimates([NETWORK], configuration_of("ethos-u55-128"), 2048, Path()))


def test_vela_itself_compiles_a_network_and_its_blocks(tmp_path: Path) -> None:
    pytest.importorskip("ethosu.vela", reason="vela is not installed: pip install -e '.[vela]'")
    jobs = [NETWORK, *(Network((block,)) for block in NETWORK.blocks)]
    whole, *blocks = estimates(jobs, configuration_of("ethos-u55-128"), 2048, tmp_path)
    assert whole.on_cpu == 0 and all(block.on_cpu == 0 for block in blocks)
    # so small a network is not the sum of its blocks to a hundredth, as those of the shipped spaces are
    assert whole.ms == pytest.approx(sum(block.ms for block in blocks), rel=0.25)
    assert whole.sram_kib == pytest.approx(max(block.sram_kib for block in blocks), rel=0.25)
    wider, _ = estimates([NETWORK] * 2, configuration_of("ethos-u85-2048"), 2048, tmp_path)
    assert wider.ms < whole.ms and wider.clock_mhz == 500
