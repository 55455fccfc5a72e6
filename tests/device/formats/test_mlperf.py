"""Reading MLPerf results: the good file, and every way in which one can be bad."""

from pathlib import Path

import pytest

from nas.device.formats.mlperf import COLUMNS, read_mlperf
from nas.errors import UserError
from tests.shared_data import shared_data

GOOD = "board,mobilenet-v2-0.5-96-float,mobilenet_v2,0.5,96,fp32,7.5,44.25"


def write(path: Path, *rows: str, header: str = ",".join(COLUMNS)) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_row_becomes_a_network_with_its_costs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "runs.csv", GOOD, "board,lite,efficientnet_lite2,,260,int8,71.5,", "other,x,resnet,,1,fp32,1,1"
    )
    small, lite = read_mlperf(path, "board")
    assert (small.name, small.family, small.precision) == ("mobilenet_v2-0.5@96", "mobilenet_v2", "fp32")
    assert (small.latency_ms, small.energy_mj) == (7.5, 44.25)
    assert small.network.input_shape == (3, 96, 96) and small.network.classes == 1001
    assert (lite.family, lite.energy_mj, lite.network.classes) == ("efficientnet_lite", None, 1000)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD.replace("7.5", ""), "latency_ms must be a finite number above 0; line 3 has ''"),
        (GOOD.replace("7.5", "-7.5"), "latency_ms must be a finite number above 0; line 3 has '-7.5'"),
        (GOOD.replace("7.5", "nan"), "latency_ms must be a finite number above 0; line 3 has 'nan'"),
        (GOOD.replace("44.25", "0"), "energy_mj_per_inference must be a finite number above 0; line 3 has '0'"),
        (GOOD.replace("fp32", "fp31"), "precision must be one of fp32, fp16, int8; line 3 has 'fp31'"),
        (GOOD.replace("mobilenet_v2", "mobilenet_v4"), "model 'mobilenet-v2-0.5-96-float': unknown network family"),
        (GOOD.replace(",96,", ",96.5,"), "resolution must be a whole number"),
        (GOOD.replace(",0.5,", ",50,"), "width_mult must be a finite number of at most 16; line 3 has '50'"),
        (GOOD, "line 3 repeats mobilenet_v2-0.5@96 fp32"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_mlperf(write(tmp_path / "runs.csv", GOOD, row), "board")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    header = ",".join("x" if name == column else name for name in COLUMNS)
    with pytest.raises(UserError, match=f"missing {column}"):
        read_mlperf(write(tmp_path / "runs.csv", GOOD, header=header), "board")


def test_an_unknown_platform_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'board'"):
        read_mlperf(write(tmp_path / "runs.csv", GOOD), "bord")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a readable CSV file"):
        read_mlperf(tmp_path / "none.csv", "board")


def test_the_public_results_hold_75_networks_of_the_raspberry_pi() -> None:
    runs = read_mlperf(
        shared_data("mlperf_inference_edge/singlestream_latency_energy_mobile.csv"), "rpi4-tflite-v2.7.1-ruy"
    )
    assert [sum(run.precision == p for run in runs) for p in ("fp32", "int8")] == [39, 36]
    assert {run.family for run in runs} == {"mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "efficientnet_lite"}


def test_a_table_of_too_many_networks_is_refused(tmp_path: Path) -> None:
    """A fit of thousands would take minutes; published tables have at most hundreds of one platform."""
    head = "platform,model,family,width_mult,resolution,precision,latency_ms,energy_mj_per_inference\n"
    rows = "".join(f"board,m,mobilenet_v1,1.0,{size},fp32,100,\n" for size in range(32, 1100))
    (tmp_path / "runs.csv").write_text(head + rows)
    with pytest.raises(UserError, match="must have at most 1,000 networks of one platform"):
        read_mlperf(tmp_path / "runs.csv", "board")
