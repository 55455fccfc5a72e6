"""Datasets by name: what is in them, how they are split, and what a user would get wrong."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset, Split
from nas.errors import UserError
from tests.shared_data import shared_data


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


@pytest.mark.parametrize("kind", ["folder", "npz"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~nouser/x", "cannot be read: .*home"),
        ("a" * 300, "cannot be read: File name too long"),
        ("a\0b", "cannot be read: .*embedded null"),
        ("nowhere", "no such"),
    ],
)
def test_a_path_that_cannot_be_one_is_one_line(kind: str, path: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_dataset(f"{kind}:{path}")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_the_bundled_dataset_is_described_too() -> None:
    dataset = load_dataset("digits")
    assert dataset.description == (
        "digits: 1,151 images for training, 287 for validation (held out of the training images), "
        "359 for test (held out of the training images)"
    )
