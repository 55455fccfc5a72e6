"""Quantization-aware training by torchao's PT2E, for qat.py: pip install torchao==0.18.0."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torchao.quantization.pt2e import allow_exported_model_train_eval
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

from nas.compress.qat import Qat
from nas.data.dataset import Dataset
from nas.models.trained import TrainedModel
from nas.tasks.by_name import task_of
from nas.train.loop import normalize
from nas.train.training import Lesson, begin, train_on

CPU = torch.device("cpu")


def trained_by_torchao(model: TrainedModel, data: Dataset, seed: int, epochs: int) -> TrainedModel:
    """The model with weights that were trained on in torchao's graph, by the loop and the recipe of `Qat`.

    It cannot be resumed: several observers are one tensor, which a safetensors file does not keep.
    """
    recipe = Qat(epochs, rounding="none").recipe(model)
    task = task_of(data.task, data.classes, model.network)
    lesson = Lesson(task, data.train, data.validation, data.flip, seed, CPU)
    state = begin(_prepared(model, data, recipe.batch_size), recipe, data.train, CPU)
    train_on(state, lesson, lambda _: False)
    weights = state.average.state_dict()
    return replace(model, weights={name: weights[name].contiguous() for name in model.weights})


def _prepared(model: TrainedModel, data: Dataset, batch: int) -> nn.Module:
    shape = model.network.input_shape
    images, any_batch = torch.zeros(2, *shape), torch.export.Dim("batch", min=2, max=1024)
    exported = torch.export.export(model.module().train(), (images,), dynamic_shapes=({0: any_batch},)).module()
    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config(is_qat=True))
    made: nn.Module = allow_exported_model_train_eval(prepare_qat_pt2e(exported, quantizer))
    made(normalize(data.train.images.take(torch.arange(batch), shape[1])))  # gives the observers their shapes
    return made
