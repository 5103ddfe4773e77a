"""A bag classifier taken apart: what is computed of each instance, the pooling, and what is computed of the pooled."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from shared.mil.levels import EmbeddingLevel, InstanceLevel
from shared.mil.pooling.base import Pooling

__all__ = ["BagModel", "full_precision", "plain_features"]

NUMBERS = 1 << 22


class BagModel:
    """A copy of a bag classifier in float64 and evaluation mode, whose parameters get no gradients.

    ``logits = after(pooling({before(x_i)}))``. At embedding level ``before`` is the encoder and ``after`` the head; at
    instance level ``before`` is the encoder with the head, and ``after`` is nothing.

    Args:
        network: an :class:`~shared.mil.levels.EmbeddingLevel` or :class:`~shared.mil.levels.InstanceLevel`; or a
            network with one as its attribute ``level``, and with the attribute ``encoder``, which maps features
            ``(T, …)`` to embeddings ``(T, E)`` instance by instance, or is ``None``. It is left as it is.
        target: index of the logit that is explained.

    Attributes:
        encoder: the encoder's copy, or ``None``.
        level: the level's copy.
        target: index of the logit that is explained.

    Raises:
        TypeError: if the network is anything else.
    """

    def __init__(self, network: nn.Module, target: int = 0) -> None:
        copied = copy.deepcopy(network).double().eval().requires_grad_(False)
        level = copied if isinstance(copied, EmbeddingLevel | InstanceLevel) else getattr(copied, "level", None)
        encoder = None if copied is level else getattr(copied, "encoder", None)
        if not isinstance(level, EmbeddingLevel | InstanceLevel) or not isinstance(encoder, nn.Module | None):
            raise TypeError(
                "bags are explained for an EmbeddingLevel or InstanceLevel, or for a network with one as 'level' and "
                f"with a module or None as 'encoder'; found {type(network).__name__}"
            )
        self._network = copied
        self.encoder: nn.Module | None = encoder
        self.level: EmbeddingLevel | InstanceLevel = level
        self.target = target

    @property
    def pooling(self) -> Pooling:
        """The pooling operator."""
        return self.level.pooling

    @property
    def pools_features(self) -> bool:
        """Whether the pooling works on the features themselves: embedding level without encoder."""
        return self.encoder is None and isinstance(self.level, EmbeddingLevel)

    def check(self, features: Tensor) -> None:
        """Make sure that the network computes what its parts do, on two of the instances ``(N, …)``.

        Raises:
            TypeError: if it does not.
            ValueError: if there is no such logit as the target.
        """
        few = features[:2]
        lengths = torch.tensor([len(few)], device=few.device)
        with torch.no_grad():
            parts = self.level(self.encode(few), lengths)
            if not 0 <= self.target < parts.shape[1]:
                raise ValueError(f"target {self.target} does not exist: the network has {parts.shape[1]} logits")
            if self._network is not self.level and not torch.allclose(self._network(few, lengths), parts):
                raise TypeError(
                    f"{type(self._network).__name__} computes something else than its level of its encoder's "
                    "embeddings: it cannot be explained by these parts"
                )

    def rows(self, features: Tensor) -> Iterator[Tensor]:
        """Yield the features ``(N, …)`` in blocks of instances that take tens of megabytes."""
        yield from features.split(max(NUMBERS // features[0].numel(), 1))

    def encode(self, features: Tensor) -> Tensor:
        """Return the embeddings ``(N, E)`` of features ``(N, …)``, without a graph."""
        encoder = self.encoder
        if encoder is None:
            return features
        with torch.no_grad():
            return torch.cat([encoder(rows) for rows in self.rows(features)])

    def before(self, features: Tensor) -> Tensor:
        """Return what is pooled, ``(N, D)``: embeddings, or at instance level logits. With a graph if there is one."""
        embeddings = features if self.encoder is None else self.encoder(features)
        return embeddings if isinstance(self.level, EmbeddingLevel) else self.level.head(embeddings)

    def instances(self, features: Tensor) -> Tensor:
        """Return what is pooled, ``(N, D)``, without a graph and by blocks."""
        if self.pools_features:
            return features
        with torch.no_grad():
            return torch.cat([self.before(rows) for rows in self.rows(features)])

    def after(self, pooled: Tensor) -> Tensor:
        """Return the logits ``(P, K)`` of what was pooled, ``(P, D)``."""
        return self.level.head(pooled) if isinstance(self.level, EmbeddingLevel) else pooled

    def linear_head(self) -> nn.Linear | None:
        """Return the head if it is one linear layer, beside what does nothing in evaluation mode."""
        layers = self._head_layers()
        return layers[0] if len(layers) == 1 and type(layers[0]) is nn.Linear else None

    def empty_logits(self) -> Tensor:
        """Return the declared logits of the empty bag, ``(K,)``: the bias of the head's last layer.

        Raises:
            ValueError: if the head does not end in a linear layer.
        """
        layers = self._head_layers()
        last = layers[-1] if layers else None
        if not isinstance(last, nn.Linear):
            raise ValueError("the head does not end in a linear layer whose bias could stand for an empty bag")
        return last.weight.new_zeros(last.out_features) if last.bias is None else last.bias

    def _head_layers(self) -> list[nn.Module]:
        head = self.level.head
        layers = list(head) if isinstance(head, nn.Sequential) else [head]
        return [layer for layer in layers if type(layer) not in (nn.Dropout, nn.Identity)]


@contextmanager
def full_precision(features: Tensor) -> Iterator[None]:
    """Enable gradients and forbid lower precision on the device of the features, whatever the caller set."""
    # MONAI's evaluator calls under no_grad and autocast; tensors of an outer inference_mode could carry no graph
    with torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast(features.device.type, enabled=False):
        yield


def plain_features(features: Tensor) -> Tensor:
    """Return the features of a bag, or of several, ``(T, …)`` as a plain float64 tensor without a graph.

    Raises:
        TypeError: if they are no floating-point tensor.
        ValueError: if there are none, or some are NaN or infinite.
    """
    if not isinstance(features, Tensor) or not features.is_floating_point():
        found = features.dtype if isinstance(features, Tensor) else type(features).__name__
        raise TypeError(f"features must be a floating-point tensor, found {found}")
    if features.ndim < 2 or features.numel() == 0:
        raise ValueError(f"features must be those of a bag with instances, (N, E), found {tuple(features.shape)}")
    plain = features.as_subclass(Tensor).detach().double()
    # the sum is finite only if all are, or overflows in float64, which no features do
    if not bool(plain.sum().isfinite()):
        finite = plain.isfinite().flatten(1).all(dim=1)
        raise ValueError(f"features hold NaN or infinity in instances {(~finite).nonzero().flatten()[:5].tolist()}")
    return plain
