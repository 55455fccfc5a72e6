"""The file of a network of a run: `nas.build`."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError, require
from nas.run import Run, Trial, load_run

if TYPE_CHECKING:
    from nas.runtimes.runtime import Exported


def build(run: Run | Path | str, *, pick: int | Trial, onnx: Path | str, force: bool = False) -> Exported:
    """Writes a trained network of a run as an fp32 ONNX file; see `Runtime.export`.

    Its weights are those of its full training, where RUN/trained has one, else those of the search's short training.
    `pick` is a trial's number, or what `nas.pick` returned. An existing file is replaced only with `force`. Raises
    UserError when the run keeps no model of the trial (only trials on the front have one), or nothing can be written.

    >>> nas.build("runs/tiny-raspberry-pi-4-1", pick=17, onnx="out.onnx").megabytes  # doctest: +SKIP
    0.34
    """
    require("onnx", onnx, (str, Path), "a path")
    require("pick", pick, (Integral, Trial), "a trial, or its number")
    path, number = Path(onnx), pick.trial if isinstance(pick, Trial) else int(pick)
    check_output(path, force=force)
    found = run if isinstance(run, Run) else load_run(run)

    from nas.models.trained import load_best
    from nas.runtimes.onnxruntime import OnnxRuntime

    return OnnxRuntime().export(replace(load_best(found.path, number), precision="fp32"), path)


def check_output(path: Path, *, force: bool) -> None:
    """Raises UserError unless a file can be written at `path`; an existing one only with `force`."""
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        raise UserError(f"cannot write {path}: it is a folder, a pipe or a device")
    if path.exists() and not force:
        raise UserError(f"{path} already exists; replace it with --force, or choose another name")
