"""The licence of a dataset: from its folder or its COCO file, and never a reason to refuse it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nas.data.catalog import load_dataset
from nas.data.licence import LONGEST, licence_in, licence_of_coco
from tests.data.pictures import write_folder


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("LICENSE", "MIT License\n\nCopyright 2024 A. Team\n", "MIT License (LICENSE)"),
        ("licence.md", "\n# CC BY 4.0  \nfor all pictures", "CC BY 4.0 (licence.md)"),
        ("COPYING.txt", "", "empty (COPYING.txt)"),
        ("LICENSES", "Apache-2.0", "Apache-2.0 (LICENSES)"),
        ("LICENSE", "a" * 1000, f"{'a' * (LONGEST - 3)}... (LICENSE)"),
        ("LICENSE", "\x1b[31mred", "see LICENSE, which cannot be read as text"),
        ("license.png", "MIT", ""),
        ("LICENSE-notes", "MIT", ""),
    ],
)
def test_a_folders_licence_is_the_first_line_of_its_file(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:  # fmt: skip
    (tmp_path / name).write_text(text)
    assert licence_in(tmp_path) == expected


def test_what_is_not_a_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "LICENSE")
    (tmp_path / "COPYING").mkdir()
    assert licence_in(tmp_path) == licence_in(tmp_path / "nowhere") == ""
    (tmp_path / "licence").write_bytes(b"\xff\xfe\x00")
    assert licence_in(tmp_path) == "see licence, which cannot be read as text"


@pytest.mark.parametrize(
    ("licenses", "images", "expected"),
    [
        ([{"id": 1, "name": "CC BY 2.0"}, {"id": 2, "name": "MIT"}], [{"license": 2}, {"license": 2}], "MIT"),
        ([{"id": 1, "name": "CC BY 2.0"}, {"id": 2, "name": "MIT"}], [{}], "CC BY 2.0; MIT"),
        ([{"id": 0, "url": "http://a.b/c", "name": ""}], [{"license": [0]}], "http://a.b/c"),
        ([{"id": n, "name": f"L{n}"} for n in range(8)], [{}], "L0; L1; L2; L3; L4 and 3 more"),
        ([{"id": 1, "name": "a\x1b[2Jb\nc"}], [{}], "a\\x1b[2Jb c"),
        ([{"id": 1, "name": 7}, "odd", None], [{}], ""),
        ("MIT", [{}], ""),
        (None, [{}], ""),
    ],
)
def test_a_coco_files_licences_are_those_of_its_pictures(licenses: Any, images: Any, expected: str) -> None:
    assert licence_of_coco({"licenses": licenses, "images": images}) == expected


def test_the_licence_changes_neither_the_images_nor_their_digest(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", 8)
    before = load_dataset(f"folder:{tmp_path / 'data'}")
    (tmp_path / "data/LICENSE").write_text("CC0 1.0 Universal\n")
    after = load_dataset(f"folder:{tmp_path / 'data'}")
    assert (before.licence, after.licence) == ("", "CC0 1.0 Universal (LICENSE)")
    assert after.fingerprint == before.fingerprint and after.classes == before.classes
