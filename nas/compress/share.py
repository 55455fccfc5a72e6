"""Parameter sharing, a step: equal blocks of a stage compute with one set of weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nas.compress.finetune import EPOCHS, check_classes, check_epochs, fine_tuned
from nas.compress.step import Given, with_step
from nas.compress.tensors import tensors_of
from nas.errors import UserError
from nas.models.builder import shareable

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel
    from nas.space.block import Block
    from nas.space.network import Network


@dataclass(frozen=True, slots=True)
class Share:
    """A `Step`. It makes the file smaller and nothing faster: each block computes as before.

    What is shared are weights and batch norms. With batch norms of its own, each use would have to be normalized at
    run time: a runtime folds them into the weights, which then differ. Of equal blocks the first one's weights are
    taken (a mean of blocks that compute different things computes neither), and all of the network is fine-tuned.
    """

    name: str = field(default="share", init=False)
    epochs: int = EPOCHS

    def __post_init__(self) -> None:
        check_epochs(self.epochs)

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        """Raises UserError where no blocks are equal, and for a training that fails."""
        check_classes(model, given)
        old, new = model.network, sharing(model.network)
        blocks = sum(new.weights_of(n) != n for n in range(len(new.blocks))) - sum(
            old.weights_of(n) != n for n in range(len(old.blocks))
        )
        if not blocks:
            raise UserError("no blocks of a stage are equal in kind and shape, so none can share weights")
        line = (
            f"{blocks} block{'s' * (blocks > 1)} with the weights of an equal one, {new.params / old.params:.2f} of "
            "the parameters; MACs and latency stay as they were"
        )
        given.on_progress(f"{line}; nothing is trained yet")
        weights = {name: tensor.clone() for number, _, name, tensor in tensors_of(old, model.module())
                   if new.weights_of(number) == number}  # fmt: skip
        tuned = fine_tuned(model, replace(model, network=new, weights=weights), given, self.epochs)
        line = f"{self.name}: {line}; {tuned.text}"
        given.on_progress(line)
        return with_step(tuned.model, line)


def sharing(network: Network) -> Network:
    """The network whose equal blocks of one stage share the weights of the first; as it is where there are none."""
    first: dict[tuple[int, Block], int] = {}
    shared = list(range(len(network.blocks)))
    for number in shareable(network) if network.stages else ():
        shared[number] = first.setdefault((network.stages[number], network.blocks[number]), number)
    return replace(network, shared=tuple(shared)) if shared != list(range(len(shared))) else network
