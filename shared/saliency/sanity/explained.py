"""What is explained: chosen samples, the methods, and the network, for which another can be put."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.saliency.bags.base import BagAttribution
from shared.saliency.base import Attribution, Sign, evaluation_mode
from shared.saliency.batched_maps import batched_maps

__all__ = ["Explained", "ExplainedBags", "ExplainedImages", "Explanations", "Maps", "on_network"]

Maps = Sequence[NDArray[np.floating]] | NDArray[np.floating]
"""Of each sample a map ``(H, W)``, all of one size, or values of its instances ``(N_b,)``."""

Explanations = Mapping[str, Maps]
"""By method."""

M = TypeVar("M")


def on_network(methods: Mapping[str, M], network: nn.Module, other: nn.Module) -> dict[str, M]:
    """Return copies of methods, with all their settings, that explain another network.

    Args:
        methods: methods by name, made for ``network``; they are left as they are.
        network: the network that they explain.
        other: the network that the copies explain; not copied.
    """
    # deepcopy takes what memo holds for a copy that it has made already
    return copy.deepcopy(dict(methods), {id(network): other})


class Explained(ABC):
    """Samples that methods explain: what sanity checks and comparisons of networks need to know of them.

    A bundle whose explanations are neither an :class:`~shared.saliency.base.Attribution` nor a
    :class:`~shared.saliency.bags.base.BagAttribution` derives a class of its own.

    Attributes:
        network: that is explained.
        signs: by method, what of its explanations counts; see :class:`shared.saliency.base.Attribution`.
        count: number of samples B.
    """

    network: nn.Module
    signs: Mapping[str, Sign]
    count: int

    @abstractmethod
    def forward(self, network: nn.Module) -> object:
        """Run a network of the same layers on one sample."""

    @abstractmethod
    def explain(self, network: nn.Module) -> Explanations:
        """Return the explanations of all samples by every method, of another network of the same layers."""

    def explain_other(self, seed: int) -> Explanations | None:  # noqa: ARG002
        """Return the explanations for another logit of each sample than the explained one, ``None`` if there is one."""
        return None


class ExplainedImages(Explained):
    """Images that attribution methods explain.

    Args:
        methods: by name, all made for one network.
        images: network's inputs ``(B, C, H, W)``, on its device.
        targets: class that is explained ``(B,)``; of all networks and for all methods the same.
        batch_size: images that are explained at once.

    Raises:
        ValueError: if there is no method or image, the targets do not fit, or methods explain different networks.
    """

    def __init__(
        self, methods: Mapping[str, Attribution], images: Tensor, targets: Tensor, batch_size: int = 16
    ) -> None:
        if not methods or len(images) == 0 or targets.shape != (len(images),):
            raise ValueError(
                f"expected methods, images and a target for each, found {len(methods)} methods, {len(images)} images "
                f"and targets of shape {tuple(targets.shape)}"
            )
        self.methods = dict(methods)
        self.network = _one_network({name: method.network for name, method in methods.items()})
        self.signs = {name: method.sign for name, method in methods.items()}
        self.images = images.as_subclass(Tensor)
        self.targets = targets.as_subclass(Tensor).to(self.images.device)
        self.batch_size = batch_size
        self.count = len(images)

    def forward(self, network: nn.Module) -> object:
        """Return the logits ``(1, K)`` of the first image."""
        return network(self.images[:1])

    def explain(self, network: nn.Module) -> Explanations:
        """Return the maps ``(B, H, W)`` by method, channels added up."""
        return self._maps(network, self.targets)

    def explain_other(self, seed: int) -> Explanations | None:
        """Return the maps ``(B, H, W)`` for another class of each image, drawn from all others (Sixt et al. 2020).

        ``None`` if the network has one logit.
        """
        with torch.no_grad(), evaluation_mode(self.network):
            classes = self.network(self.images[:1]).shape[1]
        if classes == 1:
            return None
        step = np.random.default_rng(seed).integers(1, classes, size=self.count)
        return self._maps(self.network, (self.targets + torch.from_numpy(step).to(self.targets)) % classes)

    def _maps(self, network: nn.Module, targets: Tensor) -> Explanations:
        return {
            name: batched_maps(method, self.images, targets, self.batch_size)
            for name, method in on_network(self.methods, self.network, network).items()
        }


class ExplainedBags(Explained):
    """Bags that methods explain: one logit of their model, so that there is no other to compare with.

    Args:
        methods: by name, all made for one model.
        bags: features ``(N_b, …)`` of the instances of each bag, on the model's device.

    Raises:
        ValueError: if there is no method or bag, or methods explain different models.
    """

    def __init__(self, methods: Mapping[str, BagAttribution], bags: Sequence[Tensor]) -> None:
        if not methods or not bags:
            raise ValueError(f"expected methods and bags, found {len(methods)} methods and {len(bags)} bags")
        self.methods = dict(methods)
        self.network = _one_network({name: method.model for name, method in methods.items()})
        self.signs = dict.fromkeys(methods, "signed")
        self.features = torch.cat([bag.as_subclass(Tensor) for bag in bags])
        self.lengths = torch.tensor([len(bag) for bag in bags])
        self.count = len(bags)

    def forward(self, network: nn.Module) -> object:
        """Return the logits ``(1, K)`` of the first instance as a bag."""
        few = self.features[:1]
        return network(few, torch.ones(1, dtype=torch.int64, device=few.device))

    def explain(self, network: nn.Module) -> Explanations:
        """Return the values ``(N_b,)`` of each bag by method."""
        return {
            name: [values.cpu().numpy() for values in self._values(method)]
            for name, method in on_network(self.methods, self.network, network).items()
        }

    def _values(self, method: BagAttribution) -> tuple[Tensor, ...]:
        sizes: list[int] = self.lengths.tolist()
        return method.attribute_many(self.features, self.lengths).split(sizes)


def _one_network(networks: Mapping[str, nn.Module]) -> nn.Module:
    first, *rest = networks.items()
    for name, network in rest:
        if network is not first[1]:
            raise ValueError(f"methods {first[0]} and {name} explain different networks; give all the same one")
    return first[1]
