"""The most compressed form of a model that loses no more than is allowed: int8, blocks in float, QAT, fp16, fp32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from nas.compress.drop import BoxDrop, Drop
from nas.compress.finetune import NotFinite
from nas.compress.judge import MOST_IMAGES, MOST_PICTURES, judge_of
from nas.compress.sensitivity import quantized_blocks, sensitivity
from nas.errors import UserError
from nas.models.int8 import Int8
from nas.numbers import duration, figure
from nas.runtimes.by_name import deployed_runtime
from nas.runtimes.images import network_inputs
from nas.runtimes.runtime import TITLES, RuntimeName
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.compress.step import OnProgress
    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel
    from nas.runtimes.onnx.variants import Variants

FileOf = Callable[[Precision, Int8 | None], bytes]  # a model's file in a precision
FLOAT_SHARE = 0.6  # of the blocks that may stay in float; with more of them int8 is hardly faster


@dataclass(frozen=True, slots=True)
class Rung:
    """One form of the model, measured as the file that is deployed; of several runtimes the one that loses most."""

    precision: Precision
    int8: Int8 | None
    drop: Drop | BoxDrop
    megabytes: float  # 10^6 bytes of the file
    tuned: Variants | None = None  # of the model after quantization-aware training; None: its weights are as they were
    where: str = ""  # the runtime, and what the others lose, in words; empty where only ONNX Runtime was asked for

    @property
    def name(self) -> str:
        if self.int8 is None:
            return self.precision
        if self.int8.scheme == "dynamic":
            return "int8 in linear layers alone"
        name = "int8 after QAT" if self.tuned else "int8"
        return f"{name}, in float {', '.join(self.int8.float_blocks)}" if self.int8.float_blocks else name

    @property
    def text(self) -> str:
        return f"{self.name} {self.drop.text}{self.where}; {figure(self.megabytes)} MB"


class Ladder:
    """Measures forms of one model on validation images, each against fp32 on the same images.

    With several `runtimes` each form is measured in every one of them, against fp32 of the same, and what it loses is
    what it loses in the worst. `validation` chooses among the forms, so their accuracies on it flatter a little; test
    images are not touched.
    """

    def __init__(
        self, variants: Variants, validation: Split, on_progress: OnProgress,
        runtimes: Sequence[RuntimeName] = ("onnxruntime",),
    ) -> None:  # fmt: skip
        if not len(validation):
            raise UserError("what quantization loses is measured on validation images; got none")
        self.variants, self.tell, self.runtimes = variants, on_progress, tuple(runtimes)
        self._files: dict[tuple[RuntimeName, Variants], FileOf] = {}
        order = torch.randperm(len(validation), generator=torch.Generator().manual_seed(0))
        model = variants.model
        self.images = validation.subset(order[: MOST_PICTURES if model.network.detects else MOST_IMAGES])
        self.judge = judge_of(model, self.images)
        start = perf_counter()
        self._fp32 = {name: self.answers("fp32", None, None, name) for name in self.runtimes}
        self.fp32, megabytes = self._fp32[self.runtimes[0]]
        self.tell(
            f"fp32: {self.judge.text(self.fp32)}{self._in(self.runtimes[0])}; {figure(megabytes)} MB; "
            f"measured in {duration(perf_counter() - start)}"
        )

    def measure(self, precision: Precision, int8: Int8 | None = None, tuned: Variants | None = None) -> Rung:
        """One form, of the model or of what quantization-aware training made of it, and says what it loses."""
        drops, sizes = dict[RuntimeName, Drop | BoxDrop](), dict[RuntimeName, float]()
        for name in self.runtimes:
            before, size = self._fp32[name]
            after, size = (before, size) if (precision, tuned) == ("fp32", None) else self.answers(
                precision, int8, tuned, name)  # fmt: skip
            drops[name], sizes[name] = self.judge.drop(before, after), size
        worst = max(drops, key=lambda name: drops[name].value)
        others = [f"{100 * drops[name].value:.1f}{self._in(name)}" for name in drops if name != worst]
        where = self._in(worst) + (f", {' and '.join(others)}" if others else "")
        rung = Rung(precision, int8, drops[worst], sizes[worst], tuned, where)
        self.tell(rung.text)
        return rung

    def trained_on(self, int8: Int8, train: Callable[[], TrainedModel]) -> Rung:
        """int8 of the model that quantization-aware training gives, against fp32 before it."""
        return self.measure("int8", int8, self.variants.of(train()))

    def descend(self, first: Rung, most: float, train: Callable[[], TrainedModel] | None = None) -> Rung:
        """The first form that loses at most the fraction `most`, in this order, each measured when its turn comes:

        `first`; with the blocks that suffer most in float; the same two after quantization-aware training, which
        `train` does where `first` is not of one already; fp16; fp32, which loses nothing.
        """
        if first.drop.value <= most:
            return self._chosen(first, most)
        for rung in self._below(first, most, train):
            if rung.drop.value <= most:
                return self._chosen(rung, most)
        return self.measure("fp32")

    def _below(self, first: Rung, most: float, train: Callable[[], TrainedModel] | None) -> Iterator[Rung]:
        if first.int8 is not None and first.int8.scheme == "static":
            yield from self._in_float(first, first.int8, most)
            if train is not None and first.tuned is None:
                try:
                    rung = self.trained_on(Int8(target=first.int8.target), train)
                    yield rung
                    yield from self._in_float(rung, first.int8, most)
                except NotFinite as error:
                    self.tell(f"{error}; there is no int8 after QAT")
        if first.precision == "int8":
            yield self.measure("fp16")

    def _in_float(self, rung: Rung, int8: Int8, most: float) -> Iterator[Rung]:
        """More and more of the blocks that suffer most left in float."""
        variants = rung.tuned or self.variants
        blocks = quantized_blocks(variants)
        start = perf_counter()
        order = list(sensitivity(variants, blocks).items())
        worst = ", ".join(f"{block} {db:.0f} dB" for block, db in order[:4])
        self.tell(
            f"more than {100 * most:g} points; each of {len(blocks)} blocks quantized alone, in "
            f"{duration(perf_counter() - start)}: signal to error of the logits is worst in {worst}"
        )
        for number in _numbers(int(FLOAT_SHARE * len(blocks))):
            suffering = {block for block, _ in order[:number]}
            left = tuple(block for block in blocks if block in suffering)
            yield self.measure("int8", Int8(target=int8.target, float_blocks=left), rung.tuned)

    def _chosen(self, rung: Rung, most: float) -> Rung:
        if rung.drop.interval[1] > most:
            self.tell(
                f"{rung.name} holds {100 * most:g} points as measured; on {rung.drop.images:,} images a loss of up to "
                f"{100 * rung.drop.interval[1]:.1f} cannot be ruled out"
            )
        return rung

    def answers(
        self, precision: Precision, int8: Int8 | None = None, tuned: Variants | None = None,
        runtime: RuntimeName | None = None,
    ) -> tuple[Any, float]:  # fmt: skip
        """What the file answers to the images, as its judge knows it, and its megabytes; in the first runtime."""
        variants, name = tuned or self.variants, runtime or self.runtimes[0]
        own = deployed_runtime(name)
        if (name, variants) not in self._files:
            made = variants if name == "onnxruntime" else own.variants(variants.model, variants.calibration)
            self._files[name, variants] = made.file
        data = self._files[name, variants](precision, int8)
        inputs = network_inputs(self.variants.model.preprocessing, self.images)
        return self.judge.answers(own.session(data), inputs), len(data) / 1e6

    def _in(self, runtime: RuntimeName) -> str:
        """The runtime in words; nothing where only ONNX Runtime was asked for."""
        return "" if self.runtimes == ("onnxruntime",) else f" in {TITLES[runtime]}"


def _numbers(most: int) -> list[int]:
    """How many blocks are left in float, one try after another: 1, 2, 4 and so on, and the most at last."""
    powers = [2**n for n in range(most.bit_length()) if 2**n < most]
    return [*powers, most] if most else []
