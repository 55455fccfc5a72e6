"""The teacher of a distillation, by name: another trial of the run, a model's folder, a timm model or an ONNX file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from hashlib import sha256
from json import JSONDecodeError, loads
from pathlib import Path
from typing import TYPE_CHECKING

from nas.deploy.timm_weights import downloaded
from nas.errors import UserError
from nas.files.plain import MB, read_bytes
from nas.run import Run
from nas.space.onnx.file import image_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nas.data.dataset import Dataset
    from nas.train.distill import Teacher

FORMS = "a trial's number, a model's folder, timm:NAME, PATH.onnx or none"
MOST_ONNX = 1000 * MB
NORMALIZED = ((127.5,) * 3, (127.5,) * 3)  # mean and std of files that do not say how to feed them


def find_teacher(name: str, run: Run, dataset: Dataset, device: torch.device) -> Teacher | None:
    """The teacher called `name`; None for none. A trial's network is the one trained in full, else the run's own.

    Raises UserError for another name, for what cannot be read or downloaded, and for other classes than the dataset's.
    """
    from nas.models.trained import load_best, load_trained
    from nas.train.distill import check_classes, teacher_of

    if name == "none":
        return None
    if name.startswith("timm:"):
        return _timm(name, dataset, device)
    if name.endswith(".onnx"):
        found = _onnx(name, device)
        check_classes(name, found.classes, dataset)
        return found
    if name.isascii() and name.isdigit() and len(name) < 10:
        model = load_best(run.path, run.trial(int(name)).trial)
    elif (Path(name) / "model.json").is_file():
        model = load_trained(Path(name))
    else:
        raise UserError(f"a teacher must be {FORMS}; got {name[:200]!r}")
    check_classes(name, model.classes, dataset)
    return teacher_of(model, name, device)


def _timm(name: str, dataset: Dataset, device: torch.device) -> Teacher:
    """A timm model with its pretrained weights, downloaded at its first use."""
    import timm
    import torch

    from nas.models.trace import unknown_model
    from nas.train.distill import Teacher, check_classes

    short = name.removeprefix("timm:")
    if not timm.is_model(short):
        raise unknown_model(short)
    about = timm.models.get_pretrained_cfg(short)
    if about is None or not about.hf_hub_id:
        raise UserError(f"teacher {name}: timm has no pretrained weights of it")
    check_classes(name, int(about.num_classes), dataset)
    instead = "name a trial, a model's folder or an ONNX file instead"
    file = downloaded(str(about.hf_hub_id), f"teacher {name}", instead)
    module = timm.create_model(short, pretrained=True, pretrained_cfg_overlay={"file": file})
    module = module.to(device, memory_format=torch.channels_last).eval()
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (about.mean, about.std))  # of 0 to 1

    def logits(images: Tensor) -> Tensor:
        found: Tensor = module(((images + 1) / 2 - mean) / std)
        return found

    digest = sha256(read_bytes(Path(file), MOST_ONNX, "safetensors")).hexdigest()
    return Teacher(name, len(dataset.classes), int(about.input_size[-1]), digest, logits)


def _onnx(name: str, device: torch.device) -> Teacher:
    """A file that ONNX Runtime runs. What it says of its classes and preprocessing counts, as `nas build` writes it."""
    import onnx
    import torch

    from nas.runtimes.onnxruntime import OnnxRuntime
    from nas.train.distill import Teacher

    path = Path(name)
    shape, any_batch = image_of(path)
    if shape[1] != 3 or shape[2] != shape[3]:
        raise UserError(f"{path}: a teacher must take square RGB images (1, 3, r, r); got {shape}")
    data = read_bytes(path, MOST_ONNX, "ONNX")
    facts = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in _preprocessing(path, facts))
    with _refused(path):
        session = OnnxRuntime().session(data, torch.get_num_threads())
        outputs = session(torch.zeros(shape).numpy())

    def logits(images: Tensor) -> Tensor:
        pixels = ((127.5 * images.cpu() + (127.5 - mean)) / std).contiguous()
        with _refused(path):
            parts = [session(part.numpy()) for part in (pixels.split(len(pixels) if any_batch else 1))]  # type: ignore[no-untyped-call]
        return torch.cat([torch.from_numpy(part) for part in parts]).float().to(images.device)

    classes = _classes(path, facts)
    return Teacher(name, classes or int(outputs.shape[-1]), shape[2], sha256(data).hexdigest(), logits)


def _preprocessing(path: Path, facts: dict[str, str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of each channel, for pixels from 0 to 255."""
    if "preprocessing" not in facts:
        return NORMALIZED
    said = _json(path, facts, "preprocessing")
    found = tuple(said.get(key) if isinstance(said, dict) else None for key in ("mean", "std"))
    for values in found:
        if not isinstance(values, list) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
            raise UserError(f"{path}: preprocessing in its metadata must have mean and std, three numbers each")
    mean, std = (tuple(map(float, values or ())) for values in found)
    if not all(value > 0 for value in std):
        raise UserError(f"{path}: std of preprocessing in its metadata must be above 0; got {std}")
    return mean, std


def _classes(path: Path, facts: dict[str, str]) -> tuple[str, ...]:
    """The names of its classes; none where it does not say."""
    said = _json(path, facts, "classes") if "classes" in facts else []
    if not isinstance(said, list) or not all(isinstance(label, str) for label in said):
        raise UserError(f"{path}: classes in its metadata must be a list of names")
    return tuple(said)


def _json(path: Path, facts: dict[str, str], key: str) -> object:
    try:
        return loads(facts[key])
    except (JSONDecodeError, RecursionError):
        raise UserError(f"{path}: {key} in its metadata must be JSON; got {facts[key][:80]!r}") from None


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    """ONNX Runtime has exceptions of its own kinds, which only its own file may know."""
    try:
        yield
    except Exception as error:
        raise UserError(f"{path}: ONNX Runtime cannot run it: {' '.join(str(error).split())[:300]}") from None
