"""Labels that are asked for and read: what is asked, and what a person may get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.deploy.facts import Facts
from nas.errors import UserError
from nas.monitor.labels import Pictures, most_uncertain, read_labels, read_pictures, write_request

FACTS = Facts(
    task="classification", resolution=8, side=0, resize="center square, bilinear", color="RGB",
    mean=(127.5,) * 3, std=(127.5,) * 3, threads=1, models={"fp32": "model-fp32.onnx"}, classes=("cat", "dog", "owl"),
)  # fmt: skip


def write(folder: Path, rows: list[str], pictures: int = 24) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(pictures):
        drawn = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(drawn).save(folder / f"{number:02}.png")
    (folder / "labels.csv").write_text("\n".join(["file,predicted,label", *rows]) + "\n")
    return folder / "labels.csv"


def rows(count: int = 24, label: str = "") -> list[str]:
    return [f"{number:02}.png,cat,{label or FACTS.classes[number % 2]}" for number in range(count)]


def test_labels_are_read_with_their_pictures_and_what_is_missing_is_said(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, [*rows(22), "22.png,cat,", "23.png,dog,"]), FACTS)
    assert found.labels.tolist() == [0, 1] * 11 and found.pictures.pixels.shape == (22, 8, 8, 3)
    assert np.array_equal(found.pictures.pixels[3], np.asarray(Image.open(tmp_path / "03.png")))
    assert found.notes == (
        "2 of 24 rows have no label yet", "no label of 1 of 3 classes (owl): what they lose is not known",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["00.png,cat,wolf"], "line 26: a label must be a class of the network (cat, dog, owl); got 'wolf'"),
        (["99.png,cat,dog"], "line 26: the picture must lie beside labels.csv; there is no '99.png'"),
        (["../00.png,cat,dog"], "there is no '../00.png'"),
        ([",cat,dog"], "there is no ''"),
        (["03.png,cat,dog"], "line 26: a picture must be named once; '03.png' is named twice"),
        (["copy.png,cat,dog"], "line 26: equal pictures must have one label; copy.png is dog, and line 2 is cat"),
        (["05.png\x1b[31m,cat,dog"], "must hold no control characters"),
    ],
)
def test_a_wrong_row_is_one_line(changed: list[str], message: str, tmp_path: Path) -> None:
    kept = [row for row in rows() if not changed[0].startswith(row.split(",")[0]) or "twice" in message]
    path = write(tmp_path, [*kept, *changed])
    if len(kept) == 24:
        message = message.replace("26", "26")
    (tmp_path / "copy.png").write_bytes((tmp_path / "00.png").read_bytes())
    with pytest.raises(UserError) as refused:
        read_labels(path, FACTS)
    wanted = message.replace("line 26", f"line {len(kept) + 2}")
    assert wanted in str(refused.value) and "\n" not in str(refused.value)


def test_too_few_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.csv: must have at least 20 labels of different pictures; got 19"):
        read_labels(write(tmp_path, rows(19)), FACTS)


def test_equal_pictures_count_once(tmp_path: Path) -> None:
    write(tmp_path, rows())
    (tmp_path / "copy.png").write_bytes((tmp_path / "00.png").read_bytes())
    assert len(read_pictures(tmp_path, FACTS)) == 24
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n broken")
    with pytest.raises(UserError, match=r"broken\.png: not a readable image"):
        read_pictures(tmp_path, FACTS)
    with pytest.raises(UserError, match="must be a folder of pictures; got none"):
        read_pictures(tmp_path / "nowhere", FACTS)


def test_the_least_certain_pictures_are_asked_for_first_and_some_of_all_others() -> None:
    scores = np.zeros((100, 3), np.float32)
    scores[:, 0] = np.linspace(10, 0.1, 100)  # the last one is the least certain
    chosen = most_uncertain(scores, 20)
    assert len(set(chosen.tolist())) == len(chosen) == 20
    assert chosen[:10].tolist() == list(range(99, 89, -1))
    assert 0 in chosen and (chosen[10:] < 90).all()
    assert len(most_uncertain(scores[:5], 5)) == 5 and len(most_uncertain(scores[:1], 1)) == 1


def test_a_request_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "frames", rows())
    pictures = read_pictures(tmp_path / "frames", FACTS)
    some = Pictures(pictures.paths[:21], pictures.pixels[:21])
    path = write_request(tmp_path / "labels", some, np.zeros(21, int), FACTS.classes)
    assert path.read_text().splitlines()[:2] == ["file,predicted,label", "00.png,cat,"]
    path.write_text(path.read_text().replace("cat,", "cat,owl"))
    assert read_labels(path, FACTS).labels.tolist() == [2] * 21
    with pytest.raises(UserError, match="exists: fill in"):
        write_request(tmp_path / "labels", some, np.zeros(21, int), FACTS.classes)
    assert "owl" in path.read_text()
