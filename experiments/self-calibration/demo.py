"""A network is served while light and noise change: it alarms, adapts, is labelled, learns again, and is switched.

    python experiments/self-calibration/demo.py CIFAR10.npz OUT [--model FOLDER] [--small]

CIFAR10.npz holds all 60,000 images. Every step is a command of nas or of serve.pyz, printed with what it says; the only
part of a person's is that labels.csv is filled in, with the true classes. Without --model a network is searched and
trained first. OUT/page.html tells the story.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from nas.data.corruptions import corrupt

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
USED = 24_000  # of the training images; those after them are the stream's
TRUE = 1500  # frames of each part, of which the true accuracy is told
RUN = 8  # frames of one class, one after another, as before a camera
PARTS = (("clean", 6000), ("drifted", 6000), ("clean again", 2000))


def command(*words: str | Path) -> str:
    """Runs a command, shows it and what it says; ends the demonstration where it fails."""
    shown = " ".join(Path(str(word)).name if Path(str(word)).is_absolute() else str(word) for word in words)
    print(f"\n$ {shown}", flush=True)
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    print("\n".join(said[-30:]), flush=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def nas(*words: str | Path) -> str:
    return command(sys.executable, "-m", "nas", *words)


def write_images(source: Path, out: Path) -> None:
    """What is trained and tested on."""
    with np.load(source) as data:
        np.savez(
            out, x_train=data["x_train"][:USED], y_train=data["y_train"][:USED], x_test=data["x_test"],
            y_test=data["y_test"], class_names=np.array(CLASSES),
        )  # fmt: skip


def stream(source: Path, parts: tuple[tuple[str, int], ...]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images of each part with their classes, never seen in a training, in runs of one class."""
    with np.load(source) as data:
        pixels, labels = data["x_train"][USED:], data["y_train"][USED:]
    rng = np.random.default_rng(0)
    waiting = [list(rng.permutation(np.flatnonzero(labels == label))) for label in range(len(CLASSES))]
    found = {}
    for name, count in parts:
        order: list[int] = []
        while len(order) < count:
            for label in rng.permutation(len(CLASSES)):
                order += waiting[label][:RUN]
                del waiting[label][:RUN]
        chosen = np.array(order[:count])
        found[name] = pixels[chosen], labels[chosen]
    return found


def drift(pixels: np.ndarray) -> np.ndarray:
    """The lamp is brighter, and the sensor noisier."""
    return corrupt(corrupt(pixels, "brightness", 5, seed=0), "gaussian-noise", 4, seed=1)


def write_frames(folder: Path, pixels: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{number:06}.png")
    return folder


def serve(served: Path, frames: Path) -> None:
    command(sys.executable, served / "serve.pyz", served, "--images", frames, "--keep", "400", "--quiet")


def fill_in(file: Path, labels: np.ndarray) -> int:
    """What a person does: the true class of each picture, whose name ends with its number in what was served."""
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    for row in rows:
        row["label"] = CLASSES[int(labels[int(row["file"].split("-")[1].split(".")[0]) - 1])]
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, ("file", "predicted", "label"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return sum(row["predicted"] == row["label"] for row in rows)


def print_true(served: Path, out: Path, frames: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Prints the true accuracy of both versions on frames of each part, by their own run.py."""
    clean, drifted = len(frames["clean"][1]), frames["drifted"][1]
    parts = (("clean", "frames-1", 0, frames["clean"][1]), ("drifted", "frames-1", clean, drifted),
             ("drifted, new", "frames-2", 0, frames["clean again"][1]))  # fmt: skip
    for name, folder, first, labels in parts:
        files = sorted((out / folder).glob("*.png"))[first : first + TRUE]
        for version in ("1", "2"):
            said = subprocess.run(
                [sys.executable, served / "versions" / version / "run.py", "--json", *files],
                capture_output=True, text=True, check=True,
            ).stdout.splitlines()  # fmt: skip
            named = [json.loads(line)["classes"][0]["class"] for line in said]
            right = np.mean(
                [one == CLASSES[int(label)] for one, label in zip(named, labels[: len(named)], strict=True)]
            )
            print(f"true: version {version} on {len(named)} frames, {name}: {right:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, help="a trained model, in the place of a search and a training")
    parser.add_argument("--small", action="store_true", help="fewer frames, to try it")
    asked = parser.parse_args()
    out = asked.out.absolute()
    out.mkdir(parents=True)
    served, parts = out / "served", tuple((name, count // (3 if asked.small else 1)) for name, count in PARTS)
    if asked.model is None:
        write_images(asked.images, out / "images.npz")
        data, run = f"npz:{out / 'images.npz'}", out / "run"
        nas("search", "--device", "raspberry-pi-4", "--space", "nas-bench-macro", "--dataset", data, "--time", "4m",
            "--out", run)  # fmt: skip
        nas("deploy", run, "--pick", "knee", "--precision", "int8", "--max-drop", "1%", "--time", "8m", "--out", served)
        model: list[str | Path] = []  # nas calibrate finds it
    else:
        nas("deploy", asked.model, "--device", "raspberry-pi-4", "--precision", "int8", "--out", served)
        model = ["--model", asked.model]
    frames = stream(asked.images, parts)
    clean, clean_labels = frames["clean"]
    drifted, drifted_labels = frames["drifted"]
    both = np.concatenate([clean, drift(drifted)])
    serve(served, write_frames(out / "frames-1", both))
    nas("monitor", served)
    nas("calibrate", served, *model)
    file = served / "monitor/labels/labels.csv"
    right = fill_in(file, np.concatenate([clean_labels, drifted_labels]))
    with file.open() as opened:
        print(f"\n(a person labels {sum(1 for _ in opened) - 1} pictures; {right} were classified so)")
    nas("calibrate", served, "--labels", file, *model)
    nas("switch", served, "--to", "2")
    serve(served, write_frames(out / "frames-2", drift(frames["clean again"][0])))
    nas("monitor", served, "--html", out / "page.html")
    print_true(served, out, frames)


if __name__ == "__main__":
    main()
