"""A dataset in a folder of pictures, one folder a class, below train/, val/ and test/ or to be split."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from statistics import median_low

import torch

from nas.data.dataset import SPLIT_NAMES, Found, Split, SplitName
from nas.data.images import MEMORY_BYTES, Images, ImagesInFiles, ImagesInMemory, decode
from nas.data.picture import is_picture, short_side
from nas.errors import UserError

LARGEST_SIDE = 224  # pixels kept of a picture's short side in memory
FOLDERS_OF_SYSTEMS = frozenset({
    "__MACOSX", "__pycache__", "$RECYCLE.BIN", "System Volume Information", "lost+found",
    "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot",  # of network disks, with small copies
})  # fmt: skip

_WORDS = (*SPLIT_NAMES, "trn", "tst", "dev", "eval", "evaluation", "holdout")
_LIKE_SPLIT = re.compile(f"({'|'.join(_WORDS)})(set|data|img|image|split)?s?")

Files = list[tuple[Path, int]]  # each picture with its label


def read_folder(root: Path, *, in_files: bool = False) -> Found:
    """Classes and pictures, and the splits where folders are called train, val or test, or like one of them.

    Split folders are train, training, val, valid, validation, test and testing, in any case. Pictures of any size
    become squares of the median short side, at most 224 pixels. Hidden files and folders are left out; linked folders
    are read. `in_files`: pictures are decoded only when they are taken. Raises UserError for a missing or empty folder,
    splits that are not clear, a class that the training pictures lack, and the first picture that cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"{root}: must be a folder; got a file" if root.exists() else f"{root}: no such folder")
    search = _Search()
    splits = _splits(root, search)
    for place in {root, *splits.values()}:
        search.count_beside(place)
    train = splits.get("train", root)
    classes = tuple(folder.name for folder in search.folders(train))
    files = {name: search.files(folder, classes) for name, folder in splits.items() if name != "train"}
    known = search.files(train, classes)
    sides = [short_side(path) for part in (known, *files.values()) for path, _ in part]
    side = min(LARGEST_SIDE, median_low(sides))
    in_memory = not in_files and len(sides) * side**2 * 3 <= MEMORY_BYTES

    def split(part: Files) -> Split:
        paths = tuple(path for path, _ in part)
        images: Images = ImagesInMemory(decode(paths, side)) if in_memory else ImagesInFiles(paths, root)
        return Split(images, torch.tensor([label for _, label in part]))

    held = {name: split(part) for name, part in files.items()}
    return Found(classes, split(known), held.get("validation"), held.get("test"), search.left_out())


def _splits(root: Path, search: _Search) -> dict[SplitName, Path]:
    """The folder of each split; none where the folders below `root` are classes. Raises UserError where it is unclear.

    A split holds folders, a class holds pictures: so a class may be called train.
    """
    folders = search.folders(root)
    called = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    sure = any(search.folders(f) and not search.holds_pictures(f) for f in called) or len(called) == len(folders)
    named = [folder for folder in called if sure and search.folders(folder)]
    if not named:
        _check_classes(root, search)
        return {}
    splits: dict[SplitName, Path] = {}
    for folder in called:
        split = SPLIT_NAMES[folder.name.lower()]
        if folder not in named:
            raise UserError(f"{folder}: a split needs a folder for each class in it")
        if split in splits:
            raise UserError(f"{root}: has two folders of one split, {splits[split].name} and {folder.name}; keep one")
        splits[split] = folder
    if "train" not in splits:
        raise UserError(f"{root}: has {named[0].name}/ but no train/")
    search.left_folders += [folder.name for folder in folders if folder not in named]
    for folder in named:
        _check_classes(folder, search)
    return splits


def _check_classes(root: Path, search: _Search) -> None:
    """Raises UserError for folders that look like splits where classes must be: seg_train, or train/ below a class."""
    folders = search.folders(root)
    called = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    like = [f for f in folders if _like_split(f.name) and search.folders(f) and not search.holds_pictures(f)]
    if folders and len(called) == len(folders):
        like += called
    like += [inner for folder in folders for inner in search.folders(folder) if inner.name.lower() in SPLIT_NAMES]
    if like:
        raise UserError(
            f"{like[0]}: looks like a split where a class must be; splits must be called train, val and test, lie "
            "directly in the dataset's folder, and hold a folder for each class"
        )


def _like_split(name: str) -> bool:
    return any(_LIKE_SPLIT.fullmatch(word) for word in re.split(r"[^a-z]+", name.lower()))


class _Search:
    """Finds pictures below folders, each once, and remembers what was left out."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, int]] = set()  # device and inode of pictures and folders
        self.hidden = self.again = self.beside = 0
        self.others: Counter[str] = Counter()  # files that are not pictures, by suffix
        self.left_folders: list[str] = []

    def folders(self, root: Path) -> list[Path]:
        """The visible folders in a folder, by name."""
        return [Path(entry.path) for entry in _entries(root) if _is_folder(entry) and not _is_hidden(entry.name)]

    def holds_pictures(self, root: Path) -> bool:
        """Whether there are visible pictures directly in a folder."""
        files = (Path(entry.path) for entry in _entries(root) if not _is_hidden(entry.name) and not _is_folder(entry))
        return any(map(is_picture, files))

    def count_beside(self, root: Path) -> None:
        """Counts what lies beside the class folders, and is not read."""
        for entry in _entries(root):
            if _is_hidden(entry.name):
                self.hidden += 1
            elif not _is_folder(entry):
                self._count_other(Path(entry.path), is_picture(Path(entry.path)))

    def _count_other(self, path: Path, picture: bool) -> None:
        if picture:
            self.beside += 1
        else:
            self.others[path.suffix.lower()[:12] or "no suffix"] += 1

    def files(self, root: Path, classes: tuple[str, ...]) -> Files:
        """The pictures below each class folder, in the order of their names."""
        files: Files = []
        for folder in self.folders(root):
            if folder.name not in classes:
                raise UserError(
                    f"{folder}: a class that is not among the training classes ({', '.join(classes)[:200]})"
                )
            again = self.again
            own = sorted(self._below(folder))
            if not own:
                links = "; what is in it was read already, through a link in another class or split"
                raise UserError(
                    f"{folder}: the folder of this class has no images{links if self.again > again else ''}"
                )
            files += [(path, classes.index(folder.name)) for path in own]
        if not files:
            raise UserError(f"{root}: no images; each class needs a folder of its own in it")
        return files

    def _below(self, folder: Path) -> list[Path]:
        """Every picture below a class's folder, also behind links; what was read already, in any class, is left out."""
        found = []
        for place, folders, names in os.walk(folder, onerror=_unreadable, followlinks=True):
            if self._again(place):  # a link that leads back, or to another class
                folders.clear()
                continue
            shown = sorted(name for name in folders if not _is_hidden(name))
            self.hidden += len(folders) - len(shown)
            folders[:] = shown
            for name in sorted(names):
                path = Path(place, name)
                if _is_hidden(name):
                    self.hidden += 1
                elif not is_picture(path):
                    self._count_other(path, False)
                elif not self._again(path):
                    found.append(path)
        return found

    def _again(self, path: Path | str) -> bool:
        """Whether a link, of any kind, leads to what was read already; counts it."""
        try:
            about = Path(path).stat()
        except OSError:  # a link to nowhere: read and refused later
            return False
        key = about.st_dev, about.st_ino
        again = key in self.seen
        self.again += again
        self.seen.add(key)
        return again

    def left_out(self) -> tuple[str, ...]:
        words = []
        if self.left_folders:
            words.append(f"folders beside the splits: {', '.join(self.left_folders)[:200]}")
        if self.hidden:
            words.append(f"{self.hidden:,} hidden files and folders")
        if self.again:
            words.append(f"{self.again:,} links to what was read already")
        if self.beside:
            words.append(f"{self.beside:,} pictures that are in no class's folder")
        if self.others:
            kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in self.others.most_common(5))
            words.append(f"{self.others.total():,} files of other kinds ({kinds})")
        return tuple(words)


def _entries(root: Path) -> list[os.DirEntry[str]]:
    """By name; whether one is a folder is known without asking the disk again."""
    try:
        with os.scandir(root) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror}") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in FOLDERS_OF_SYSTEMS


def _unreadable(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be read: {error.strerror}")
