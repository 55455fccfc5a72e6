"""A trained network and all that is needed to use it: what a search keeps, and what every later step works on.

One folder: model.json (network, task, classes, preprocessing, precision, recipe, lineage) and weights.safetensors, the
state_dict of `nas.models.builder.build(network)`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from nas.errors import UserError
from nas.files.atomic import atomic_folder
from nas.files.json import read_json_table
from nas.files.plain import MB, file_in, read_bytes
from nas.files.toml import Table
from nas.models.builder import build
from nas.run import model_folder, trained_folder
from nas.space.block import Block
from nas.space.layer import Precision
from nas.space.network import Network

FORMAT = 1
MODEL, WEIGHTS = "model.json", "weights.safetensors"
MOST_JSON = 4 * MB
MOST_WEIGHTS = 400 * MB
MOST_HEADER = MB // 4  # of a safetensors file: names and shapes
MOST_BLOCKS = 1000
LARGEST_SIDE = 65_536  # channels or pixels of a block
MOST_MACS = 10**12

Triple = tuple[float, float, float]
Resize = Literal["center square, bilinear", "whole, bilinear"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes a network's input, float32 (1, 3, resolution, resolution).

    The middle square is cut out and scaled to `side` pixels, as the dataset keeps its images, then to `resolution`,
    both bilinear with antialiasing; with a side of 0 to `resolution` at once. "whole": nothing is cut off, the longer
    side is scaled, and what is missing on the right or below is grey. Then each channel, 0 to 255, in the order
    of `color`, becomes (value - mean) / std. `nas.data.pixels` does it, everywhere.
    """

    resolution: int
    side: int = 0
    resize: Resize = "center square, bilinear"
    color: Literal["RGB"] = "RGB"
    mean: Triple = (127.5, 127.5, 127.5)
    std: Triple = (127.5, 127.5, 127.5)


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a model comes from: its run and trial, and what was done to it since, in order."""

    run: str = ""  # the name of its folder
    trial: int | None = None
    steps: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of what it was made from: space, device, dataset


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A network with its weights. `weights` fit `build(network)`, whatever was done to the network before."""

    network: Network
    weights: Mapping[str, Tensor] = field(repr=False)  # a state_dict in float32, on the CPU
    task: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    precision: Precision = "fp32"  # that it is deployed in
    recipe: Mapping[str, str | int | float] = field(default_factory=dict)  # the last training's
    lineage: Lineage = Lineage()

    def module(self) -> nn.Module:
        """The network as a module with these weights, in evaluation mode, on the CPU."""
        module = build(self.network)
        module.load_state_dict(dict(self.weights), strict=True)
        return module.eval()


class _ModelFile(Table):
    format: Literal[1]
    task: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    precision: Precision
    recipe: dict[str, str | int | float]
    lineage: Lineage
    blocks: tuple[Block, ...]
    stages: tuple[int, ...]
    taps: tuple[int, ...]
    heads: tuple[int, ...]
    shared: tuple[int, ...] = ()


def save_trained(folder: Path, model: TrainedModel, files: Mapping[str, bytes] | None = None) -> None:
    """Writes the folder whole or not at all. Raises UserError when the disk refuses, and for weights with NaN in them.

    A folder that is there already is replaced. `files` are written beside the model, by their names.
    """
    from safetensors.torch import save

    check_finite(model.weights, str(folder))
    table = {
        "format": FORMAT, "task": model.task, "classes": model.classes, "preprocessing": asdict(model.preprocessing),
        "precision": model.precision, "recipe": dict(model.recipe), "lineage": asdict(model.lineage),
        "stages": model.network.stages, "taps": model.network.taps, "heads": model.network.heads,
        "shared": model.network.shared,
        "blocks": [asdict(block) for block in model.network.blocks],
    }  # fmt: skip
    with atomic_folder(folder) as part:
        (part / WEIGHTS).write_bytes(save({name: tensor.contiguous() for name, tensor in model.weights.items()}))
        (part / MODEL).write_text(json.dumps(table, indent=1) + "\n", "utf-8")
        for name, data in (files or {}).items():
            (part / name).write_bytes(data)


def load_trained(folder: Path) -> TrainedModel:
    """The model in a folder.

    Nothing is allocated before the network was found to fit its weights. Raises UserError, naming the file, for
    anything that `save_trained` would not have written.
    """
    paths = [file_in(folder, name) for name in (MODEL, WEIGHTS)]
    if not paths[0] or not paths[1]:
        raise UserError(f"{folder} is not a model's folder: it needs {MODEL} and {WEIGHTS}")
    file, path = paths[0], paths[1]
    table = read_json_table(file, _ModelFile, MOST_JSON)
    network, expected = _read_network(table, file)
    size = sum(tensor.numel() * tensor.element_size() for tensor in expected.values())
    weights = read_tensors(path, min(size + MOST_HEADER, MOST_WEIGHTS))
    check_tensors(weights, expected, path, f"the weights of the network in {MODEL}", "one of the network's weights")
    return TrainedModel(
        network, weights, table.task, table.classes, table.preprocessing, table.precision, table.recipe, table.lineage
    )


def load_trial(run: Path, trial: int) -> TrainedModel:
    """The model that a run's folder keeps of a trial.

    Raises UserError as `load_trained` does, where none is kept, and for the model of another trial.
    """
    folder = model_folder(run, trial)
    if not folder.exists():
        if not folder.parent.is_dir() or not any(folder.parent.iterdir()):
            raise UserError(f"{run} has no weights: {folder.parent} is not there; nas train trains a trial anew")
        raise UserError(f"{run} keeps the models of its front and of rivals, and trial {trial} is none of these")
    return _of_trial(folder, trial)


def best_folder(run: Path, trial: int) -> Path:
    """Where a trial's best weights are: those of its full training, where it has ended, else those of the search."""
    trained = trained_folder(run, trial)
    return trained if (trained / MODEL).exists() else model_folder(run, trial)


def load_best(run: Path, trial: int) -> TrainedModel:
    """The model of a trial in `best_folder`. Raises UserError as `load_trial` does."""
    folder = best_folder(run, trial)
    return load_trial(run, trial) if folder == model_folder(run, trial) else _of_trial(folder, trial)


def _of_trial(folder: Path, trial: int) -> TrainedModel:
    model = load_trained(folder)
    if model.lineage.trial != trial:
        raise UserError(f"{folder}: must hold the model of trial {trial}; it holds that of trial {model.lineage.trial}")
    return model


def read_tensors(path: Path, most: int) -> dict[str, Tensor]:
    """The tensors of a safetensors file of at most so many bytes. Raises UserError for another file."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(read_bytes(path, most, "safetensors"))
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable safetensors file: {error}") from None


def check_tensors(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path, what: str, other: str
) -> None:
    """Raises UserError unless a file holds those tensors that are expected, by name, shape and type, all finite.

    It must hold `what`; a tensor that it should not have is not `other`.
    """
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected:
            which = "is missing" if name in expected else f"is not {other}"
            raise UserError(f"{path}: must hold {what}; {name[:80]!r} {which}")
        want, got = expected[name], found[name]
        if want.shape != got.shape or want.dtype != got.dtype:
            raise UserError(
                f"{path}: {name} must be {want.dtype} of shape {tuple(want.shape)}; got {got.dtype} {tuple(got.shape)}"
            )
    check_finite(found, str(path))


def check_finite(weights: Mapping[str, Tensor], where: str) -> None:
    """Raises UserError, with `where` in it, when a weight is infinite or NaN."""
    for name, tensor in weights.items():
        if not bool(tensor.isfinite().all()):
            raise UserError(f"{where}: weights must be finite; {name} holds infinity or NaN")


def _read_network(table: _ModelFile, file: Path) -> tuple[Network, dict[str, Tensor]]:
    """The network, and its state_dict without values.

    Raises UserError for a network that cannot be built, is too large, or does not fit classes and preprocessing.
    """
    blocks, resolution = table.blocks, table.preprocessing.resolution
    if not 0 < len(blocks) <= MOST_BLOCKS or len(table.stages) not in (0, len(blocks)):
        raise UserError(f"{file}: blocks must be 1 to {MOST_BLOCKS}, with a stage each or none; got {len(blocks)}")
    for number, b in enumerate(blocks):
        for value in (*b.in_shape, *b.out_shape, b.kernel, b.stride, b.groups):
            if not 0 < value <= LARGEST_SIDE:
                raise UserError(f"{file}: shapes must be from 1 to {LARGEST_SIDE}; block {number} has {value}")
        if odd := [rank for ranks in b.ranks for rank in ranks if not 0 < rank <= LARGEST_SIDE]:
            raise UserError(f"{file}: ranks must be from 1 to {LARGEST_SIDE}; block {number} has {odd[0]}")
        if not (0 <= b.mid <= LARGEST_SIDE and 0 <= b.se <= LARGEST_SIDE):
            raise UserError(f"{file}: mid and se must be from 0 to {LARGEST_SIDE}; block {number} has {b.mid}, {b.se}")
    if not 0 <= table.preprocessing.side <= LARGEST_SIDE:
        raise UserError(f"{file}: preprocessing.side must be from 0 to {LARGEST_SIDE}; got {table.preprocessing.side}")
    if not all(x > 0 for x in table.preprocessing.std):
        raise UserError(f"{file}: preprocessing.std must be above 0; got {table.preprocessing.std}")
    try:
        network = Network(blocks, table.stages, table.taps, table.heads, table.shared)
        if network.input_shape != (3, resolution, resolution):
            raise UserError(f"{file}: the network's input must be (3, {resolution}, {resolution}), as in preprocessing")
        if network.classes != len(table.classes):
            raise UserError(f"{file}: the network has {network.classes} outputs for {len(table.classes)} classes")
        if network.macs > MOST_MACS or 4 * network.params > MOST_WEIGHTS:
            raise UserError(
                f"{file}: the network must have at most {MOST_MACS:.0e} MACs and {MOST_WEIGHTS // MB} MB of weights"
            )
        with torch.device("meta"):
            return network, build(network).state_dict()
    except (LookupError, ValueError, TypeError, StopIteration, ArithmeticError, RuntimeError, AttributeError) as error:
        raise UserError(f"{file}: its network cannot be built: {str(error)[:200] or type(error).__name__}") from None
