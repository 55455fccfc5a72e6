"""Datasets by name: what is in them, how they are split, and what a user would get wrong."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset, Split
from nas.data.images import ImagesInFiles
from nas.errors import UserError
from tests.data.pictures import COLOURS, write_folder
from tests.shared_data import shared_data

Arrays = dict[str, np.ndarray]


def splits(dataset: Dataset) -> tuple[Split, Split, Split]:
    return dataset.train, dataset.validation, dataset.test_split()


def pixels(split: Split, resolution: int) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images.take(torch.arange(len(split)), resolution)}


def test_digits_are_all_there_once_and_stratified() -> None:
    dataset = load_dataset("digits")
    assert sum(map(len, splits(dataset))) == 1797 and len(dataset.classes) == 10 and not dataset.flip
    for split in splits(dataset):
        share = torch.bincount(split.labels).double() / len(split)
        assert share.min() > 0.09 and share.max() < 0.11  # 174 to 183 of the 1,797 each
    train, validation, test = (pixels(split, 8) for split in splits(dataset))
    assert not train & validation and not train & test and not validation & test


def test_seed_moves_the_validation_split_but_never_the_test_split() -> None:
    first, again, other = (load_dataset("digits", seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert pixels(first.validation, 8) == pixels(again.validation, 8) != pixels(other.validation, 8)
    assert pixels(first.test_split(), 8) == pixels(other.test_split(), 8)


def test_share_keeps_the_mix_of_classes() -> None:
    train = load_dataset("digits").train
    quarter = train.share(0.25, seed=3)
    assert torch.equal(quarter.labels, train.share(0.25, seed=3).labels)
    whole, part = torch.bincount(train.labels), torch.bincount(quarter.labels)
    assert ((part - whole / 4).abs() <= 0.5).all()


def test_cifar10_arrays() -> None:
    path = shared_data("cifar10/cifar10_small.npz")
    dataset = load_dataset(f"npz:{path}", validation_share=0.1)
    assert [len(split) for split in splits(dataset)] == [9000, 1000, 2000]
    assert dataset.classes[0] == "airplane" and dataset.flip
    assert dataset.train.images.take(torch.tensor([0, 5]), 32).shape == (2, 32, 32, 3)


@pytest.mark.parametrize("names", [("train", "test"), ("train", "val"), ("",)])
def test_folder(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        write_folder(tmp_path / name, 10)
    (tmp_path / names[0] / "red" / "notes.txt").write_text("no image")
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.classes == ("blue", "green", "red")
    # twice 10 a class: 8 + 2 to train and validate; once: 2 go to the test first, then 2 of 8
    assert [len(s) for s in splits(dataset)] == ([24, 6, 30] if len(names) == 2 else [18, 6, 6])
    images = dataset.train.images.take(torch.arange(len(dataset.train)), 13)  # the median of 12, 13 and 14 pixels
    for image, label in zip(images, dataset.train.labels, strict=True):
        strongest = int(torch.tensor(COLOURS[dataset.classes[label]]).argmax())
        assert int(image.float().mean((0, 1)).argmax()) == strongest


def test_folder_too_large_for_memory_is_decoded_at_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, 10)
    in_memory = load_dataset(f"folder:{tmp_path}")
    monkeypatch.setattr("nas.data.folder.MEMORY_BYTES", 1000)
    in_files = load_dataset(f"folder:{tmp_path}")
    assert isinstance(in_files.train.images, ImagesInFiles)
    assert torch.equal(in_files.train.labels, in_memory.train.labels)
    chosen = torch.tensor([3, 0, 11])
    assert torch.equal(in_files.train.images.take(chosen, 13), in_memory.train.images.take(chosen, 13))


def broken_folder(root: Path, fault: str) -> Path:
    if fault != "missing":
        root.mkdir()
    if fault == "one class":
        write_folder(root, 5, ("red",))
    if fault in ("unreadable", "empty class", "few", "truncated"):
        write_folder(root, 2 if fault == "few" else 5)
    if fault == "unreadable":
        (root / "green" / "001.png").write_bytes(b"not an image")
        (root / "red" / "001.png").write_bytes(b"not an image either")
    if fault == "truncated":
        file = root / "green" / "003.png"
        file.write_bytes(file.read_bytes()[:-200])
    if fault == "empty class":
        (root / "yellow").mkdir()
    if fault == "foreign class":
        write_folder(root / "train", 5, ("red", "green"))
        write_folder(root / "test", 5, ("red", "blue"))
    return root


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "no such folder"),
        ("empty", "no images"),
        ("one class", "at least two classes; found only red"),
        ("unreadable", "green/001.png: not a readable image"),
        ("truncated", "green/003.png: not a readable image"),
        ("empty class", "yellow: the folder of this class has no images"),
        ("few", "class 'blue' has 2 images; a split needs at least 3"),
        ("foreign class", "test/blue: a class that is not among the training classes"),
    ],
)
def test_broken_folder_is_one_line(tmp_path: Path, fault: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_dataset(f"folder:{broken_folder(tmp_path / 'images', fault)}")
    assert "\n" not in str(error.value)


def arrays(count: int = 30) -> Arrays:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (count, 6, 6, 3), dtype=np.uint8)
    labels = np.arange(count) % 3 + 5
    return {"x_train": images, "y_train": labels, "x_test": images[:9], "y_test": labels[:9]}


@pytest.mark.parametrize("channels", [(3,), (1,), ()])
def test_npz_with_and_without_colour(tmp_path: Path, channels: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 255, (30, 8, 6, *channels), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(30) % 3 + 5)
    dataset = load_dataset(f"npz:{tmp_path / 'a.npz'}")
    assert dataset.classes == ("5", "6", "7") and [len(s) for s in splits(dataset)] == [18, 6, 6]
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
        ({"y_train": np.full(30, 5), "x_test": None}, "at least two classes"),
        ({"y_test": None}, "y_test must be integers"),
        ({"y_test": np.full(9, 8)}, "y_test has the class 8, which y_train lacks"),
        ({"class_names": np.array(["a", "b"])}, "must index its 2 class_names"),
        ({"x_train": np.array([object()])}, "not a readable .npz"),
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
    for name, message in (("text.npz", "readable .npz"), ("none.npz", "no such file"), ("", "readable .npz")):
        with pytest.raises(UserError, match=message):
            load_dataset(f"npz:{tmp_path / name}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [("digit", "did you mean 'digits'"), ("folder", "needs a path: folder:PATH"), ("imagenet:x", "unknown dataset")],
)
def test_unknown_name(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_dataset(spec)


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_validation_share_must_be_a_share(share: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        load_dataset("digits", validation_share=share)


def test_cifar10_without_a_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(UserError, match=r"cifar10 could not be downloaded.*npz:PATH"):
        load_dataset("cifar10", cache_dir=tmp_path)
