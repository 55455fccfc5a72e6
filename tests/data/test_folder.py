"""Folders of pictures: which are read as what, and that nothing is left out without a word."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.data.images import ImagesInFiles
from nas.errors import UserError
from tests.data.pictures import COLORS, write_folder


def sizes(dataset: Dataset) -> list[int]:
    return [len(split) for split in (dataset.train, dataset.validation, dataset.test_split())]


def write_splits(root: Path, **counts: int) -> str:
    """A folder of each name with so many pictures a class; the dataset's name."""
    for name, count in counts.items():
        write_folder(root / name, count)
    return f"folder:{root}"


@pytest.mark.parametrize(
    ("names", "expected"),
    [  # three classes; what is missing is held out of train/: the test split first, a fifth each
        (("",), [18, 6, 6]),
        (("train", "test"), [24, 6, 30]),
        (("train", "val"), [24, 30, 6]),
        (("train", "val", "test"), [30, 30, 30]),
        (("training", "testing"), [24, 6, 30]),
        (("Train", "Test"), [24, 6, 30]),
        (("TRAIN", "Valid", "TESTING"), [30, 30, 30]),
        (("Training", "validation"), [24, 30, 6]),
    ],
)
def test_folder(tmp_path: Path, names: tuple[str, ...], expected: list[int]) -> None:
    for name in names:
        write_folder(tmp_path / name, 10)
    (tmp_path / names[0] / "red" / "notes.txt").write_text("no image")
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.classes == ("blue", "green", "red") and sizes(dataset) == expected
    for split in (dataset.train, dataset.validation, dataset.test_split()):
        # the median of 12, 13 and 14 pixels
        for image, label in zip(split.images.take(torch.arange(len(split)), 13), split.labels, strict=True):
            strongest = int(torch.tensor(COLORS[dataset.classes[label]]).argmax())
            assert int(image.float().mean((0, 1)).argmax()) == strongest


def test_the_description_says_what_each_split_is_and_what_was_left_out(tmp_path: Path) -> None:
    name = write_splits(tmp_path, train=5, val=2)
    assert load_dataset(name).description == (
        f"{name}: 12 images for training, 6 for validation, 3 for test (held out of the training images)"
    )
    (tmp_path / "labels").mkdir()
    (tmp_path / "train/.hidden.png").write_text("")
    (tmp_path / "train/red/.ipynb_checkpoints").mkdir()
    (tmp_path / "train/red/readme.TXT").write_text("")
    (tmp_path / "train/red/movie.mp4").write_text("")
    shutil.copy(tmp_path / "train/red/000.png", tmp_path / "train/stray.png")
    described = load_dataset(name).description
    assert described.endswith(
        "; left out: folders beside the splits: labels, 2 hidden files and folders, "
        "1 pictures that are in no class's folder, 2 files of other kinds (.mp4 1, .txt 1)"
    )
    assert "\n" not in described


def test_hidden_folders_are_never_read(tmp_path: Path) -> None:
    """Jupyter's checkpoints would put the same picture into two splits."""
    name = write_splits(tmp_path, train=5, test=5)
    before = load_dataset(name)
    for split in ("train", "test"):
        for hidden in (".ipynb_checkpoints", ".thumbs/deep", "__MACOSX"):
            shutil.copytree(tmp_path / split / "red", tmp_path / split / "red/new", dirs_exist_ok=True)
            target = tmp_path / split / "red" / hidden
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(tmp_path / split / "red/new", target)
        shutil.copytree(tmp_path / split / "red", tmp_path / split / ".git")
    after = load_dataset(name)
    assert after.fingerprint == before.fingerprint and sizes(after) == sizes(before)
    assert "8 hidden files and folders" in after.description


def test_every_suffix_of_a_picture_and_none_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path, 5)
    Image.new("RGB", (16, 16), COLORS["red"]).save(tmp_path / "red/a.jpg")
    for name in ("b.jfif", "c.JPE", "d.Jpeg", "photo", "e.jpg_large"):
        shutil.copy(tmp_path / "red/a.jpg", tmp_path / "red" / name)
    Image.new("RGB", (16, 16), COLORS["red"]).save(tmp_path / "red/f.webp")
    shutil.copy(tmp_path / "red/f.webp", tmp_path / "red/webp-without-suffix")
    dataset = load_dataset(f"folder:{tmp_path}")
    assert sum(sizes(dataset)) == 3 * 5 + 8 and "left out" not in dataset.description


def test_linked_folders_and_files_are_read_once(tmp_path: Path) -> None:
    far = write_folder(tmp_path / "far", 6)
    near = tmp_path / "near"
    write_folder(near, 5, ("blue", "green"))
    (near / "red").symlink_to(far / "red")  # a class
    (near / "blue/more").symlink_to(far / "blue")  # pictures below a class
    (near / "green/one.png").symlink_to(far / "green/000.png")
    dataset = load_dataset(f"folder:{near}")
    assert sum(sizes(dataset)) == (5 + 6) + (5 + 1) + 6 and "left out" not in dataset.description
    (near / "red/self").symlink_to(near / "red")  # a circle
    (near / "green/again").symlink_to(near / "blue")  # another class's pictures
    dataset = load_dataset(f"folder:{near}")
    assert sum(sizes(dataset)) == 23 and "2 links to what was read already" in dataset.description
    os.link(near / "blue/000.png", near / "green/hard.png")
    assert "3 links to what was read already" in load_dataset(f"folder:{near}").description


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "Training"), "two folders of one split"),
        (("val", "test"), "val/ but no train/|test/ but no train/"),
        (("seg_train", "seg_test"), "seg_test: looks like a split where a class must be"),
        (("training_set", "test_set"), "looks like a split"),
        (("TrainSet", "TestSet"), "looks like a split"),
        (("Training Data", "Testing Data"), "looks like a split"),
        (("train_images", "test_images", "other"), "looks like a split"),
        (("traindata", "valdata"), "looks like a split"),
        (("images/train", "images/val"), "images/train: looks like a split"),
        (("color/train", "color/test", "grey/train", "grey/test"), "color/test: looks like a split"),
    ],
)
def test_splits_that_are_not_clear_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        write_folder(tmp_path / name, 4)
    with pytest.raises(UserError, match=message):
        load_dataset(f"folder:{tmp_path}")


def test_splits_without_classes_are_refused(tmp_path: Path) -> None:
    for name in ("train", "test"):
        shutil.copytree(write_folder(tmp_path / "from", 3, ("red",)) / "red", tmp_path / "set" / name)
        shutil.rmtree(tmp_path / "from")
    with pytest.raises(UserError, match="looks like a split where a class must be"):
        load_dataset(f"folder:{tmp_path / 'set'}")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    """As in Pascal VOC: it holds pictures, and so do the folders beside it."""
    for place in (tmp_path / "plain", tmp_path / "split/train", tmp_path / "split/test"):
        write_folder(place, 4)
        (place / "red").rename(place / "train")
        (place / "blue").rename(place / "bullet_train")
    for name in ("plain", "split"):
        assert load_dataset(f"folder:{tmp_path / name}").classes == ("bullet_train", "green", "train")


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nb", "a\udc80b", "\u202egnp"])
def test_a_class_whose_name_cannot_be_printed_is_refused(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, 4)
    (tmp_path / "red").rename(tmp_path / os.fsdecode(os.fsencode(name)))
    with pytest.raises(UserError, match="must be 1 to 200 printable characters") as error:
        load_dataset(f"folder:{tmp_path}")
    assert str(error.value).isprintable()


def test_a_pipe_in_the_place_of_a_picture_is_not_waited_for(tmp_path: Path) -> None:
    write_folder(tmp_path, 4)
    os.mkfifo(tmp_path / "red/pipe")
    assert "1 files of other kinds (no suffix 1)" in load_dataset(f"folder:{tmp_path}").description
    os.mkfifo(tmp_path / "red/pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png: not a readable image: it is a folder, a pipe or a device"):
        load_dataset(f"folder:{tmp_path}")


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


@pytest.mark.parametrize("place", ["one", "blue/one", "blue/one.png"])
def test_links_that_lead_to_themselves_are_no_traceback(tmp_path: Path, place: str) -> None:
    write_folder(tmp_path, 10)
    link = tmp_path / place
    link.symlink_to("other")
    link.with_name("other").symlink_to(link.name)
    if link.suffix:
        with pytest.raises(UserError, match=r"one\.png: not a readable image: Too many levels"):
            load_dataset(f"folder:{tmp_path}")
    else:
        assert "2 files of other kinds" in load_dataset(f"folder:{tmp_path}").description


def test_a_class_whose_pictures_belong_to_another_says_so(tmp_path: Path) -> None:
    write_folder(tmp_path, 10)
    (tmp_path / "blue" / "up").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"green: .*no images; what is in it was read already, through a link"):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize("names", [("trn", "tst"), ("dev", "eval"), ("Trn_set", "holdout")])
def test_other_words_for_splits_are_no_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    spec = write_splits(tmp_path, **dict.fromkeys(names, 10))
    with pytest.raises(UserError, match="looks like a split where a class must be"):
        load_dataset(spec)


def test_small_copies_that_a_network_disk_makes_are_left_out(tmp_path: Path) -> None:
    write_folder(tmp_path, 10)
    before = sizes(load_dataset(f"folder:{tmp_path}"))
    shutil.copytree(tmp_path / "blue", tmp_path / "blue" / "@eaDir")
    shutil.copytree(tmp_path / "blue", tmp_path / "@eaDir")
    found = load_dataset(f"folder:{tmp_path}")
    assert sizes(found) == before
    assert "2 hidden files and folders" in found.description


def test_a_file_in_the_place_of_a_folder_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"a\.zip: must be a folder; got a file"):
        load_dataset(f"folder:{tmp_path / 'a.zip'}")
