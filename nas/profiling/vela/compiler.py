"""Vela, Arm's compiler for Ethos-U: what it says that a network takes, without hardware."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from pathlib import Path

from nas.device.tables.columns import MOST_COST
from nas.errors import UserError
from nas.files.csv import number, read_rows
from nas.profiling.plan.model_files import in_workers
from nas.profiling.vela.configurations import MEMORY, Configuration
from nas.runtimes.tflite.blocks import tflite_graph
from nas.space.network import Network

NEEDS = "costs on Ethos-U are estimated by Arm's compiler: pip install 'ethos-u-vela>=5.2,<6'"
COLUMNS = ("inference_time", "core_clock", "sram_memory_used", "sram_bandwidth", "off_chip_flash_bandwidth")
_ON_CPU = re.compile(r"CPU operators = (\d{1,9}) ")
MOST_BYTES = 1_000_000  # of a summary, which has two lines


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the compiler says of one network at batch 1, and of the system that it said it for."""

    ms: float
    sram_kib: float
    on_cpu: int  # operators that the NPU does not run
    clock_mhz: float
    sram_gb_s: float
    flash_gb_s: float


def vela_version() -> str:
    """The installed version. Raises UserError where there is none."""
    try:
        return version("ethos-u-vela")
    except PackageNotFoundError:
        raise UserError(NEEDS) from None


def estimates(
    networks: Sequence[Network], configuration: Configuration, sram_kib: int, scratch: Path
) -> Generator[Estimate, None, None]:
    """What each of these networks, or blocks of one, takes in int8, in order, on a chip with so much SRAM.

    Several processes compile; their files go into the folder `scratch`. Raises UserError where vela is missing, refuses
    a network, or says nothing of it.
    """
    vela_version()
    given = repeat(configuration), repeat(sram_kib)
    yield from in_workers(_estimate, networks, *given, scratch=scratch, what="compiles")


def _estimate(network: Network, configuration: Configuration, sram_kib: int) -> Estimate:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.tflite"
        file.write_bytes(tflite_graph(network, int8=True, float_io=False))
        said = _compile(file, configuration, sram_kib, network.blocks[0].key)
        return read_summary(Path(folder) / f"network_summary_{configuration.system}.csv", said)


def _compile(file: Path, configuration: Configuration, sram_kib: int, first: str) -> str:
    """Runs vela on a TFLite file; its summary comes to lie beside it. Gives what vela printed."""
    from ethosu.vela.vela import main

    arguments = [
        str(file), "--accelerator-config", configuration.name, "--config", "Arm/vela.ini",
        "--system-config", configuration.system, "--memory-mode", MEMORY,
        "--arena-cache-size", str(1024 * sram_kib), "--output-dir", str(file.parent),
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as wrong:
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = ended.code
        except Exception as error:  # whatever the compiler stumbles over
            raise UserError(f"vela cannot compile {first}: {str(error)[:200]}") from None
    if status:
        lines = (out.getvalue() + wrong.getvalue()).strip().splitlines() or ["it says nothing"]
        raise UserError(f"vela cannot compile {first}: {lines[-1][:200]}")
    return out.getvalue()


def read_summary(path: Path, said: str) -> Estimate:
    """The estimate in a summary of vela's, and in the text that it printed beside it.

    Raises UserError where one of them is not as vela 5.2 writes it.
    """
    found = _ON_CPU.search(said)
    if found is None:
        raise UserError(f"{path}: vela must say how many operators stay on the CPU; it did not: is it 5.2 or later?")
    rows = list(read_rows(path, COLUMNS, MOST_BYTES))
    if len(rows) != 1:
        raise UserError(f"{path}: a summary must have one row; got {len(rows)}")
    line, row = rows[0]
    seconds = number(row["inference_time"], path, line, "inference_time", most=MOST_COST / 1e3)
    values = {c: number(row[c], path, line, c, least=0, most=1e12) for c in COLUMNS}
    return Estimate(
        1e3 * seconds, values["sram_memory_used"], int(found[1]), values["core_clock"] / 1e6,
        values["sram_bandwidth"], values["off_chip_flash_bandwidth"],
    )  # fmt: skip
