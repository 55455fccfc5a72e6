"""Classifies pictures with the network in this folder.

    python run.py image.jpg [more.jpg]      the class of each picture, its probability, and milliseconds
    python run.py --top 3 image.jpg         the three most likely classes
    python run.py --json image.jpg          one JSON object a line

Needs Python 3.8 or later and what requirements.txt names. The milliseconds are those of the network alone, on a picture
that was read already. Exit status: 0 done, 2 what was given is wrong, 3 something must be installed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any, Sequence

FACTS, SUMS = "preprocess.json", "SHA256SUMS"
MOST_THREADS = 1024
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")  # of boxes, by class
KEPT = ".start"  # a version's own folder for what makes its next start faster

try:
    import numpy as np

    from nas.data.boxes import Detections, detections, priors
    from nas.data.pixels import NotAPicture, Picture, as_input, full_size, is_picture, quiet, read_image  # noqa: F401
    from nas.runtimes.board.network import LiteNetwork, Network, Refused, lite_runtime, onnx_runtime
except ImportError as missing:
    print(f"run.py: {missing}; pip install -r {Path(__file__).with_name('requirements.txt')}", file=sys.stderr)
    sys.exit(3)


class Deployment:
    """A version's folder. `facts` is preprocess.json: how a picture is read, the classes, the models.

    A model's name is its precision, as int8, for ONNX Runtime, and int8-litert for LiteRT. `kept`: a folder for what
    makes the next start faster; None: nothing is kept. Raises Refused for a file that is not the one that SHA256SUMS
    names.
    """

    def __init__(self, folder: Path, kept: Path | None = None) -> None:
        self.folder, self.kept = folder, kept
        try:
            rows = [line.split(None, 1) for line in (folder / SUMS).read_text("utf-8").splitlines()]
            self.sums = {name.strip(): digest for digest, name in rows}
        except (OSError, ValueError) as error:
            raise Refused(f"{folder / SUMS}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        self.facts = json.loads(self.checked(FACTS).decode("utf-8"))
        self.precisions = list(self.facts["models"])  # the one that is used unless another is asked for comes first
        self.classes = list(self.facts["classes"])
        self.heads = self.facts.get("heads")  # of a detector: their kind, and the maps that they read
        self.priors = priors(self.heads["kind"], self.heads["maps"]) if self.heads else np.empty((0, 4), np.float32)

    @property
    def detects(self) -> bool:
        """Whether the network finds boxes, instead of giving the whole picture one class."""
        return self.heads is not None

    def checked(self, name: str) -> bytes:
        """The bytes of a file of the folder, as SHA256SUMS says they must be."""
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise Refused(f"{self.folder / name}: cannot be read: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != self.sums.get(name):
            raise Refused(f"{self.folder / name}: is not the file that {SUMS} names; copy the folder again")
        return content

    def image(self, picture: Picture) -> np.ndarray:
        """A picture as uint8 (resolution, resolution, 3): a file, what a file holds, or uint8 (h, w, 3).

        Raises NotAPicture.
        """
        whole = self.facts["resize"].startswith("whole")
        return read_image(picture, self.facts["side"], self.facts["resolution"], whole)

    def input(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (resolution, resolution, 3) as the network takes it: float32 (1, 3, resolution, resolution)."""
        return as_input(pixels, self.facts["mean"], self.facts["std"])

    def found(self, scores: np.ndarray, least: float = 0.05) -> Detections:
        """What a detector says of a picture, float32 (boxes, classes + 4), as boxes of at least that probability."""
        return detections(scores, self.priors, self.heads["kind"], least=least)

    def answer(self, scores: np.ndarray) -> Any:
        """What the network says of a picture, as JSON has it: the number of a class; of a detector a list of objects,
        each the number of its class, its probability, and its box in shares of the square's side.
        """
        if not self.detects:
            return int(scores.argmax())
        rows = zip(*self.found(scores))
        return [[int(label), round(float(p), 5), *(round(float(v), 5) for v in box)] for label, p, box in rows]

    def names(self, precision: str | None = None, runtime: str | None = None) -> list[str]:
        """The models of a precision, or a name, and a runtime, the one to use first; of the first one's precision where
        none is given. Raises Refused where there is none.
        """
        there = self.precisions
        runtimes = list(dict.fromkeys(map(runtime_of, there)))
        if runtime is not None and runtime not in runtimes:
            raise Refused(f"--runtime must be {' or '.join(runtimes)}; got {runtime[:40]}")
        there = [name for name in there if runtime in (None, runtime_of(name))]
        known = list(dict.fromkeys(name.partition("-")[0] for name in there))
        found = [name for name in there if (precision or known[0]) in (name, name.partition("-")[0])]
        if not found:
            raise Refused(f"--precision must be {' or '.join(known)}; got {(precision or '')[:40]}")
        return found

    def network(
        self, precision: str | None = None, threads: int | None = None, runtime: str | None = None
    ) -> Network | LiteNetwork:  # fmt: skip
        """The model of that precision, ready to run, with the threads of the run's device profile where none are given.

        Of models for several runtimes it is the first whose runtime is installed. Raises Refused.
        """
        return self.load(self.chosen(precision, runtime), threads)

    def load(self, name: str, threads: int | None = None) -> Network | LiteNetwork:
        """The model of that very name, as `network`."""
        content, threads = self.checked(self.facts["models"][name]), threads or self.facts["threads"]
        if is_lite(name):
            return LiteNetwork(content, threads)
        return Network(content, threads, self.kept if name == "int8" else None)  # float graphs start no faster

    def chosen(self, precision: str | None = None, runtime: str | None = None) -> str:
        """The first of `names` whose runtime is installed. Raises Refused."""
        names = self.names(precision, runtime)
        missing = []
        for name in names:
            try:
                library(name)
                return name
            except Refused as refused:
                missing.append(str(refused))
        own = runtime_of(names[0])
        named = "requirements.txt" if own == runtime_of(self.precisions[0]) else f"requirements-{own}.txt"
        raise Refused(f"{missing[0]}; pip install -r {named}", 3)


def is_lite(name: str) -> bool:
    """Whether a model of that name is for LiteRT."""
    return name.endswith("-litert")


def runtime_of(name: str) -> str:
    """The runtime of a model, by the model's name."""
    return "litert" if is_lite(name) else "onnxruntime"


def library(name: str) -> None:
    """Imports what a model of that name is run by. Raises Refused with status 3 where it is missing."""
    if is_lite(name):
        lite_runtime()
    else:
        onnx_runtime()


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Softmax."""
    powers = np.exp(scores.astype(np.float64) - scores.max())
    return np.asarray(powers / powers.sum())


def likeliest(classes: Sequence[str], chances: np.ndarray, top: int) -> list[tuple[str, float]]:
    """So many classes with their probabilities, the most likely first."""
    return [(classes[i], float(chances[i])) for i in np.argsort(-chances, kind="stable")[:top]]


def parser() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="run.py", description=summary, epilog=rest, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("images", nargs="+", metavar="IMAGE", help="a picture's file, of any size")
    made.add_argument("--top", type=int, default=1, metavar="K", help="classes to name (default: 1)")
    made.add_argument("--precision", help="the model to use, where there are several (default: the first of them)")
    made.add_argument("--runtime", help="onnxruntime or litert, where there are both (default: what is installed)")
    made.add_argument("--threads", type=int, help="threads that it runs on")
    made.add_argument("--json", action="store_true", help="print one JSON object a line")
    made.add_argument(
        "--least", type=float, default=0.4, metavar="P", help="of a detector: the least probability (0.4)"
    )
    made.add_argument("--draw", metavar="FOLDER", help="of a detector: write each picture with its boxes there")
    return made


def shown(text: str) -> str:
    """The text without what could steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def complain(text: str) -> None:
    print(f"run.py: {shown(text)}", file=sys.stderr)


def object_of(path: str, found: Sequence[tuple[str, float]], ms: float) -> dict[str, Any]:
    """What --json prints of a picture."""
    classes = [{"class": label, "probability": probability} for label, probability in found]
    return {"image": path, "classes": classes, "ms": round(ms, 4)}


def line_of(path: str, found: Sequence[tuple[str, float]], ms: float) -> str:
    """What is printed of a picture without --json."""
    named = ", ".join(f"{shown(label)} {probability:.1%}" for label, probability in found)
    return f"{shown(path)}: {named}, {ms:.2f} ms"


def classify(options: argparse.Namespace) -> int:
    """Prints a line for each picture; one that cannot be read is named, and the others go on. Raises Refused."""
    if options.top < 1:
        raise Refused(f"--top must be 1 or more; got {options.top}")
    if options.threads is not None and not 1 <= options.threads <= MOST_THREADS:
        raise Refused(f"--threads must be 1 to {MOST_THREADS}; got {options.threads}")
    if not 0 < options.least < 1:
        raise Refused(f"--least must be between 0 and 1; got {options.least}")
    folder = Path(__file__).resolve().parent
    deployment = Deployment(folder, folder / KEPT)
    if options.draw and not deployment.detects:
        raise Refused("--draw is for detectors; this network gives the whole picture one class")
    network = deployment.network(options.precision, options.threads, options.runtime)
    status, warm = 0, False
    for path in options.images:
        try:
            with quiet():
                image = network.ready(deployment.input(deployment.image(Path(path))))
        except NotAPicture as error:
            complain(str(error))
            status = 2
            continue
        if not warm:  # the first run is slower than all others
            network.scores(image)
            warm = True
        start = time.perf_counter()
        scores = network.scores(image)
        ms = 1000 * (time.perf_counter() - start)
        if deployment.detects:
            show_objects(deployment, scores, path, ms, options)
            continue
        found = likeliest(deployment.classes, probabilities(scores), options.top)
        if options.json:
            print(json.dumps(object_of(path, found, ms)), flush=True)
        else:
            print(line_of(path, found, ms), flush=True)
    return status


def objects_of(classes: Sequence[str], found: Detections, size: tuple[int, int]) -> list[dict[str, Any]]:
    """What was found in a picture of that width and height, the boxes (x1, y1, x2, y2) in its own pixels."""
    edges = [size[0], size[1], size[0], size[1]]
    return [
        {
            "class": classes[int(label)],
            "probability": float(probability),
            "box": [min(round(float(v) * max(size)), edge) for v, edge in zip(box, edges)],
        }
        for label, probability, box in zip(*found)
    ]


def show_objects(deployment: Deployment, scores: np.ndarray, path: str, ms: float, options: argparse.Namespace) -> None:
    """Prints what was found in a picture, and draws it where that is asked for. Raises Refused."""
    found = deployment.found(scores, options.least)
    objects = objects_of(deployment.classes, found, full_size(Path(path)))
    if options.json:
        print(json.dumps({"image": path, "objects": objects, "ms": round(ms, 4)}), flush=True)
    else:
        places = ["{},{} to {},{}".format(*o["box"]) for o in objects]
        named = [f"{shown(o['class'])} {o['probability']:.1%} at {place}" for o, place in zip(objects, places)]
        print(f"{shown(path)}: {'; '.join(named) or 'nothing found'}, {ms:.2f} ms", flush=True)
    if options.draw:
        draw(objects, Path(path), Path(options.draw), deployment.classes)


def draw(objects: Sequence[dict[str, Any]], picture: Path, folder: Path, classes: Sequence[str]) -> None:
    """Writes a picture with its boxes as a PNG file of the same name. Raises Refused where that is not possible."""
    image = drawn(picture, objects, classes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{picture.stem}.png")
    except OSError as error:
        raise Refused(f"{folder}: cannot be written: {error.strerror}") from None


def drawn(picture: Picture, objects: Sequence[dict[str, Any]], classes: Sequence[str]) -> Any:
    """A picture with its boxes, as an image of Pillow: a file, what a file holds, or uint8 (h, w, 3)."""
    from PIL import Image, ImageDraw, ImageOps

    if isinstance(picture, np.ndarray):
        image = Image.fromarray(picture)
    else:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    pen = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 300))
    for thing in objects:
        color = COLORS[classes.index(thing["class"]) % len(COLORS)]
        pen.rectangle(thing["box"], outline=color, width=width)
        pen.text(
            (thing["box"][0] + 2 * width, thing["box"][1] + width),
            f"{thing['class']} {thing['probability']:.0%}",
            color,
        )
    return image


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    try:
        return classify(parser().parse_args(arguments))
    except Refused as refused:
        complain(str(refused))
        return refused.status
    except BrokenPipeError:  # what read the lines has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        complain("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
