"""VOC folders: boxes count their pixels from 1, difficult objects are crowds, and every fault names its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.catalog import load_found
from nas.errors import UserError

XML = """<annotation><filename>{name}.png</filename><size><width>40</width><height>20</height><depth>3</depth></size>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult><bndbox><xmin>21</xmin><ymin>11</ymin><xmax>40</xmax><ymax>20</ymax></bndbox></object>
</annotation>"""


def folder(root: Path, xml: str = XML, lists: dict[str, str] | None = None) -> Path:
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in "abc":
        Image.fromarray(np.full((20, 40, 3), 200, np.uint8)).save(root / f"JPEGImages/{name}.png")
        (root / f"Annotations/{name}.xml").write_text(xml.format(name=name))
    for split, names in (lists or {}).items():
        (root / f"ImageSets/Main/{split}.txt").write_text(names)
    return root


def test_boxes_and_splits(tmp_path: Path) -> None:
    folder(tmp_path, lists={"train": "a  1\nb -1\n", "val": "c"})
    found = load_found(f"voc:{tmp_path}")
    assert found.classes == ("cat", "dog") and found.validation is not None and found.test is None
    assert (len(found.train), len(found.validation)) == (2, 1)
    wanted = [[1, 0, 0, 0.25, 0.5, 0, 40, 200], [0, 0.5, 0.25, 1, 0.5, 1, 40, 200]]
    torch.testing.assert_close(found.train.labels[0], torch.tensor(wanted))
    assert found.train.counted == 2  # the difficult ones are not counted
    (tmp_path / "ImageSets/Main/train.txt").unlink()
    (tmp_path / "ImageSets/Main/val.txt").unlink()
    assert len(load_found(f"voc:{tmp_path}").train) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<xmax>10</xmax>", "<xmax>99</xmax>", "a.xml: the box of object 1 must lie in its picture of 40 x 20"),
        ("<xmax>10</xmax>", "<xmax>ten</xmax>", "a.xml: bndbox/xmax must be a number; got 'ten'"),
        ("<name>dog</name>", "", "a.xml: object 1 must have a name"),
        ("{name}.png", "none.png", "a.xml: the picture 'none.png' is missing"),
        ("</annotation>", "", "a.xml: is not XML"),
        ("<width>40</width>", "<width>41</width>", "a.xml: a.png must have 41 x 20 pixels, as it says; got 40 x 20"),
    ],
)
def test_a_fault_is_one_line_that_names_the_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        load_found(f"voc:{folder(tmp_path, XML.replace(old, new))}")
    assert said in str(error.value) and "\n" not in str(error.value)


def test_other_folders_and_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must have a folder Annotations"):
        load_found(f"voc:{tmp_path}")
    folder(tmp_path, lists={"train": "a\na"})
    with pytest.raises(UserError, match="'a' is there twice"):
        load_found(f"voc:{tmp_path}")
    folder(tmp_path, lists={"train": "../../a"})
    with pytest.raises(UserError, match="names of pictures without a folder"):
        load_found(f"voc:{tmp_path}")
    folder(tmp_path, lists={"train": "z"})
    with pytest.raises(UserError, match=r"z\.xml"):
        load_found(f"voc:{tmp_path}")
