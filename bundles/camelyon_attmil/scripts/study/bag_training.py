"""Training a classifier of bags on one thread of a processor, without an engine around the steps.

Where a bag has ten small instances, most of a step of one bag is overhead: several bags make a step, as one ragged
batch. Convolutions compute in channels-last order, the optimiser's update is one kernel, and the validation bags pass
through the network together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from scripts.networks import BagClassifier
from scripts.study.bags import Bags
from shared.data.errors import DataError
from shared.mil.ragged import bag_index

__all__ = ["Trained", "TrainingSettings", "predict_bags", "train_bags"]

#: instances that pass through a network at once where no gradient is wanted
CHUNK = 2048

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        optimizer: ``adam`` or ``sgd``.
        learning_rate: of the mean loss of the bags of a step.
        weight_decay: L2 penalty, added to the gradient.
        epochs: at most.
        bags_per_step: bags whose mean loss makes one step.
        momentum: of ``sgd``.
        patience: training ends after so many epochs without a better one; None for never.
        instances_per_bag: at most so many random instances of a bag in an epoch; None for all. Bags are judged whole.
        amp: whether the encoder computes in bfloat16.
        choose: whether the epoch with the lowest sum of validation loss and error is taken (as by Ilse et al. 2018), or
            the last one.
        averaged_epochs: where the last epoch is taken, the weights are the mean of those after so many last epochs
            (Izmailov et al. 2018), which depends less on where a training happens to end.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    epochs: int
    bags_per_step: int = 1
    momentum: float = 0.9
    patience: int | None = None
    instances_per_bag: int | None = None
    amp: bool = False
    choose: bool = True
    averaged_epochs: int = 1


class Trained(NamedTuple):
    """A trained network.

    Attributes:
        network: with the weights of the chosen epoch, in evaluation mode.
        best_epoch: the chosen epoch, from 1.
        best_value: validation loss plus error there; NaN without validation bags.
        epochs: epochs trained.
    """

    network: BagClassifier
    best_epoch: int
    best_value: float
    epochs: int


def train_bags(
    network: BagClassifier,
    training: Bags,
    validation: Bags | None,
    settings: TrainingSettings,
    seed: int,
    augment: Augment | None = None,
) -> Trained:
    """Train a network on bags.

    The loss is the negative log-likelihood of the bags' labels. Of equally good epochs the first is taken.

    Args:
        network: trained in place.
        training: bags as the network takes them.
        validation: bags that choose the epoch; None to take the last one.
        settings: see there.
        seed: of the order of bags, the choice of instances, dropout and augmentation; not of the initial weights.
        augment: changes the instances ``(T, ...)`` of a step, with the generator that it is given. Validation bags
            stay as they are.

    Raises:
        DataError: if the epoch is to be chosen and there is no validation bag, the validation loss is not finite, or
            settings do not fit together.
    """
    if not 1 <= settings.averaged_epochs <= settings.epochs:
        raise DataError(
            f"training: averaged_epochs is {settings.averaged_epochs}, expected 1 to the number of epochs, "
            f"{settings.epochs}"
        )
    if settings.choose and validation is None:
        raise DataError("training: found no validation bags to choose the epoch on; give some, or set choose to false")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout has no generator of its own
    if training.instances.dim() == 4:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(network, settings)
    targets = training.labels.to(torch.float32)
    best_value, best_epoch, best_state = float("inf"), 0, {}
    mean = _MeanWeights(network)
    epoch = 0
    for epoch in range(1, settings.epochs + 1):
        network.train()
        for bags in torch.randperm(len(training), generator=generator).split(settings.bags_per_step):
            instances, lengths = _drawn(training, bags, settings.instances_per_bag, generator)
            if augment is not None:
                instances = augment(instances, generator)
            logits = _logits(network, instances, lengths, settings.amp)
            loss = F.binary_cross_entropy_with_logits(logits, targets[bags])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if not settings.choose or validation is None:
            if epoch > settings.epochs - settings.averaged_epochs:
                mean.add()
            continue
        value = _loss_and_error(network, validation, settings.amp)
        if not value < float("inf"):
            raise DataError(f"training: the validation loss of epoch {epoch} is not finite; lower the learning rate")
        if value < best_value:
            best_value, best_epoch = value, epoch
            best_state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        elif settings.patience is not None and epoch - best_epoch >= settings.patience:
            break
    if best_state:
        network.load_state_dict(best_state)
        return Trained(network.eval(), best_epoch, best_value, epoch)
    mean.take()
    return Trained(network.eval(), epoch, float("nan"), epoch)


@torch.no_grad()
def predict_bags(network: BagClassifier, bags: Bags, amp: bool = False) -> torch.Tensor:
    """Return the logits ``(B,)`` of whole bags, float32, by a network in evaluation mode."""
    network.eval()
    embeddings = _embedded(network, network.described(bags.instances, bags.lengths), amp)
    return network.level(embeddings, bags.lengths).squeeze(1)


class _MeanWeights:
    """The mean of a network's weights at several times; it has no buffers that a mean would spoil."""

    def __init__(self, network: nn.Module) -> None:
        self.weights = list(network.parameters())
        self.sums = [torch.zeros_like(weight) for weight in self.weights]
        self.times = 0

    @torch.no_grad()
    def add(self) -> None:
        """Add the weights as they are now."""
        self.times += 1
        for total, weight in zip(self.sums, self.weights, strict=True):
            total += weight

    @torch.no_grad()
    def take(self) -> None:
        """Give the network the mean of the weights that were added."""
        for total, weight in zip(self.sums, self.weights, strict=True):
            weight.copy_(total / self.times)


def _optimizer(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), **common)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=settings.momentum, **common)
    raise DataError(f"training: there is no optimizer {settings.optimizer!r}; expected adam or sgd")


def _drawn(
    bags: Bags, chosen: torch.Tensor, most: int | None, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the instances of some bags, at most so many random ones of each, with their numbers."""
    rows, lengths = bags.rows(chosen), bags.lengths[chosen]
    if most is not None and bool((lengths > most).any()):
        # by bag, and in each at random: the first of each bag are a random choice
        owner = bag_index(lengths)
        order = torch.argsort(owner + torch.rand(len(owner), generator=generator, dtype=torch.float64))
        rank = torch.arange(len(owner)) - (lengths.cumsum(0) - lengths)[owner]
        rows, lengths = rows[order[rank < most]], lengths.clamp(max=most)
    return bags.instances[rows], lengths


def _logits(network: BagClassifier, instances: torch.Tensor, lengths: torch.Tensor, amp: bool) -> torch.Tensor:
    """Return the logits ``(B,)``; only the encoder computes in lower precision."""
    if instances.dim() == 4:
        instances = instances.contiguous(memory_format=torch.channels_last)
    with torch.autocast(instances.device.type, torch.bfloat16, enabled=amp):
        embeddings = network.embed(network.described(instances, lengths))
    return network.level(embeddings.float(), lengths).squeeze(1)


def _embedded(network: BagClassifier, instances: torch.Tensor, amp: bool) -> torch.Tensor:
    """Return the embeddings ``(T, D)`` in float32, computed in chunks."""
    parts = []
    for part in instances.split(CHUNK):
        ordered = part.contiguous(memory_format=torch.channels_last) if part.dim() == 4 else part
        with torch.autocast(part.device.type, torch.bfloat16, enabled=amp):
            parts.append(network.embed(ordered).float())
    return torch.cat(parts)


def _loss_and_error(network: BagClassifier, bags: Bags, amp: bool) -> float:
    logits, targets = predict_bags(network, bags, amp), bags.labels.to(torch.float32)
    loss = F.binary_cross_entropy_with_logits(logits, targets)
    error = ((logits > 0) != (targets > 0)).float().mean()
    return float(loss + error)
