"""One .npz file: what it may hold, and what it may not take."""

from __future__ import annotations

import io
import os
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.data.npz import read_npz
from nas.errors import UserError

Arrays = dict[str, np.ndarray]


def sizes(dataset: Dataset) -> list[int]:
    return [len(split) for split in (dataset.train, dataset.validation, dataset.test_split())]


def arrays(count: int = 30) -> Arrays:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (count, 6, 6, 3), dtype=np.uint8)
    labels = np.arange(count) % 3 + 5
    return {"x_train": images, "y_train": labels, "x_test": images[:9], "y_test": labels[:9]}


@pytest.mark.parametrize("channels", [(3,), (1,), ()])
def test_npz_with_and_without_color(tmp_path: Path, channels: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 255, (30, 8, 6, *channels), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(30) % 3 + 5)
    dataset = load_dataset(f"npz:{tmp_path / 'a.npz'}")
    assert dataset.classes == ("5", "6", "7") and sizes(dataset) == [18, 6, 6]
    assert dataset.train.images.take(torch.arange(2), 6).shape == (2, 6, 6, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": None}, "the array y_train is missing"),
        ({"x_train": np.zeros((30, 6, 6, 3), np.float32)}, "x_train must be uint8 .*got float32"),
        ({"x_train": np.zeros((30, 6, 6, 4), np.uint8)}, "x_train must be uint8 .*6, 6, 4"),
        ({"x_train": np.zeros((29, 6, 6, 3), np.uint8)}, "29 images, y_train 30 labels"),
        ({"y_train": np.zeros(30)}, "y_train must be integers"),
        ({"y_train": np.int64(3)}, "y_train must be integers"),
        ({"y_train": np.full(30, 5), "x_test": None, "y_test": None}, "at least two classes"),
        ({"y_test": None}, "x_test needs the array y_test"),
        ({"x_test": None}, "y_test needs the array x_test"),
        ({"x_val": np.zeros((3, 6, 6, 3), np.uint8)}, "x_val needs the array y_val"),
        ({"x_train": np.zeros((30, 6, 6, 3), np.uint16)}, "x_train must be uint8 .values from 0 to 255.*got uint16"),
        ({"x_train": np.zeros((30, 6, 6, 3), np.int64)}, "x_train must be uint8 .*got int64"),
        ({"x_train": np.zeros((30, 6, 6, 3), bool)}, "x_train must be uint8 .*got bool"),
        ({"x_train": np.zeros((30, 108), np.uint8)}, r"x_train must be uint8 .*got uint8 \(30, 108\)"),
        ({"x_train": np.zeros((30, 3, 6, 6), np.uint8)}, r"x_train must be uint8 .*\(30, 3, 6, 6\)"),
        ({"x_train": np.zeros((30, 0, 6, 3), np.uint8)}, r"x_train must be uint8 .*\(30, 0, 6, 3\)"),
        ({"x_train": np.zeros((0, 6, 6, 3), np.uint8)}, r"x_train must be uint8 .*\(0, 6, 6, 3\)"),
        ({"y_train": np.eye(30, dtype=int)}, r"y_train must be integers of shape \(n,\); got int64 \(30, 30\)"),
        ({"y_train": np.zeros(0, int)}, "y_train must be integers"),
        ({"class_names": np.array([["a", "b"]])}, r"class_names must be texts of shape \(n,\)"),
        ({"class_names": np.array([0.5])}, r"class_names must be texts"),
        ({"class_names": np.array(["a", "b", "c", "d", "e", "f", "f", "f"])}, "two classes are called 'f'"),
        ({"class_names": np.array(["a", "b", "c", "d", "e", "f", "\x1b[2J", "h"])}, "printable characters"),
        ({"Y_train": np.arange(30) % 3}, "of one split"),
        ({"y_test": np.full(9, 8)}, "y_test has the class 8, which y_train lacks"),
        ({"class_names": np.array(["a", "b"])}, "must index its 2 class_names"),
        ({"x_train": np.array([object()])}, "not a readable .npz file of plain arrays: x_train holds Python objects"),
    ],
)
def test_broken_npz_is_one_line(tmp_path: Path, change: Arrays, message: str) -> None:
    path = tmp_path / "broken.npz"
    changed = {key: value for key, value in (arrays() | change).items() if value is not None}
    np.savez(path, allow_pickle=True, **changed)
    with pytest.raises(UserError, match=message) as error:
        load_dataset(f"npz:{path}")
    assert "\n" not in str(error.value)


def test_foreign_file_is_no_npz(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    for name, message in (
        ("text.npz", "not a zip archive"), ("none.npz", "no such file"), ("", "a folder, a pipe or a device"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            load_dataset(f"npz:{tmp_path / name}")


def test_one_npy_array_is_named_as_what_it_is(tmp_path: Path) -> None:
    for name in ("x.npy", "x.npz"):
        with (tmp_path / name).open("wb") as file:
            np.save(file, np.zeros((3, 8, 8, 3), np.uint8))
        with pytest.raises(UserError, match=r"it is one \.npy array; numpy\.savez writes several"):
            load_dataset(f"npz:{tmp_path / name}")


@pytest.mark.parametrize("word", ["val", "valid", "validation", "VAL"])
def test_the_validation_split_of_a_file_is_used(tmp_path: Path, word: str) -> None:
    extra = {f"x_{word}": np.full((6, 6, 6, 3), 9, np.uint8), f"y_{word}": np.arange(6) % 3 + 5}
    np.savez(tmp_path / "a.npz", **arrays(), **extra)
    dataset = load_dataset(f"npz:{tmp_path / 'a.npz'}")
    assert sizes(dataset) == [30, 6, 9]
    assert bool((dataset.validation.images.take(torch.arange(6), 6) == 9).all())
    assert dataset.description == (f"npz:{tmp_path / 'a.npz'}: 30 images for training, 6 for validation, 9 for test")


def test_arrays_that_are_not_used_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays(), mean=np.zeros(3), x_extra=np.zeros(3))
    described = load_dataset(f"npz:{tmp_path / 'a.npz'}").description
    assert described.endswith("; left out: the arrays mean, x_extra")


@pytest.mark.parametrize("kind", ["S", "U"])
def test_class_names_are_texts_whatever_their_type(tmp_path: Path, kind: str) -> None:
    names = np.array(["ant", "bee", "café"]) if kind == "U" else np.array(["ant", "bee", "café".encode()], "S")
    labels = np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x_train=arrays()["x_train"], y_train=labels, class_names=names)
    assert load_dataset(f"npz:{tmp_path / 'a.npz'}").classes == ("ant", "bee", "café")


def test_order_and_packing_of_arrays_change_nothing(tmp_path: Path) -> None:
    given = arrays()
    np.savez(tmp_path / "a.npz", **given)
    np.savez_compressed(tmp_path / "b.npz", **given)
    np.savez(tmp_path / "c.npz", **given | {"x_train": np.asfortranarray(given["x_train"])})
    np.savez(tmp_path / "d.npz", **given | {"y_train": given["y_train"].astype(">i2")[:, None]})
    assert len({load_dataset(f"npz:{tmp_path / name}.npz").fingerprint for name in "abcd"}) == 4 - 3


def test_of_images_that_are_not_square_the_middle_is_kept(tmp_path: Path) -> None:
    images = np.zeros((30, 4, 8, 3), np.uint8)
    images[:, :, 2:6] = 200
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(30) % 3)
    split = load_dataset(f"npz:{tmp_path / 'a.npz'}").train
    assert bool((split.images.take(torch.arange(len(split)), 4) == 200).all())


def header(shape: str, descr: str = "'|u1'") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": (1,)})
    size = len(out.getvalue())
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(size - 11 if len(text) < size - 11 else len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HOSTILE = {
    "more than there is": (header("(100000000000,)"), "must hold as many values as its shape"),
    "negative": (header("(-1, 6, 6, 3)"), "must hold as many values"),
    "deep": (header("(" * 5000 + ")" * 5000), "not a readable .npz"),
    "long": (header("(" + "1," * 20_000 + ")"), "not a readable .npz"),
    "code": (header("__import__('os').getpid()"), "not a readable .npz"),
    "object": (header("(3,)", "'|O'"), "holds Python objects"),
    "fields": (header("(3,)", "[('a', '|O')]"), "holds Python objects|not a readable"),
    "empty": (b"", "not a readable .npz"),
    "cut": (header("(9,)")[:40], "not a readable .npz"),
    "pickle": (b"cos\nsystem\n(S'true'\ntR.", "not a readable .npz"),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_hostile_array_is_refused_before_it_is_allocated(tmp_path: Path, fault: str) -> None:
    data, message = HOSTILE[fault]
    path = tmp_path / "a.npz"
    np.savez(path, y_train=np.arange(30) % 3)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("x_train.npy", data)
    with pytest.raises(UserError, match=message) as error:
        read_npz(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def bomb(path: Path, megabytes: int) -> None:
    """A file of so many MB of zeros, packed to a thousandth."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("x_train.npy", "w", force_zip64=True) as out:
            out.write(header(f"({megabytes}, 1000, 1000)"))
            for _ in range(megabytes):
                out.write(bytes(10**6))
        with file.open("y_train.npy", "w") as out:
            np.save(out, np.arange(megabytes) % 2)


def test_a_zip_bomb_costs_no_memory(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.npz", 200)
    assert (tmp_path / "bomb.npz").stat().st_size < 10**6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="x_train must take at most 2 GiB and 100 times its packed size"):
        read_npz(tmp_path / "bomb.npz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_a_zip_of_a_million_entries_is_refused_by_its_end(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.npz", "w") as file:
        for number in range(3000):
            file.writestr(f"{number:0200}.npy", b"")
    with pytest.raises(UserError, match="must hold at most 1,000 arrays"):
        read_npz(tmp_path / "many.npz")


def test_the_same_array_twice_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays())
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("x_train.npy", b"")
    with pytest.raises(UserError, match="'x_train' is there twice"):
        read_npz(tmp_path / "a.npz")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(UserError, match="a folder, a pipe or a device"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("fault", ["a flipped bit", "cut"])
def test_a_damaged_archive_is_named_as_one(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, allow_pickle=True, **arrays())
    data = bytearray(path.read_bytes())
    if fault == "cut":
        data = data[:-30]
    else:
        start = data.rindex(b"PK\x01\x02")  # the directory's last entry: its checksum
        data[start + 16] ^= 255
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged\.npz: .*damaged or truncated zip archive"):
        load_dataset(f"npz:{path}")
