"""Layer-wise relevance propagation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from shared.saliency.base import Attribution, ClassMaps, check_logits, frozen_parameters
from shared.saliency.lrp.relevance_graph import RelevanceGraph
from shared.saliency.lrp.rules import EpsilonRule, GammaRule, Rule
from shared.saliency.targets import class_gradients, class_scores, resolve_classes, resolve_target

__all__ = ["LRP"]

#: of the rule gamma, unless another is asked for
SMALL_EPSILON = 1e-6


class LRP(Attribution):
    """Layer-wise relevance propagation (Bach et al. 2015, doi:10.1371/journal.pone.0130140), signed.

    The relevance of a logit is the logit itself. An affine step (convolution, linear layer, batch normalisation by
    stored statistics, average pooling, addition) divides the relevance of its output among its inputs by a rule:

    - ``epsilon``: ``R_j = sum_k w_jk x_j / (z_k + epsilon * sign(z_k)) * R_k``
    - ``gamma``: the same with ``w_jk x_j`` of the sign of z_k counted 1 + gamma times, there and in the denominator

    with ``z_k = sum_j w_jk x_j + b_k``. What the bias has contributed, and epsilon absorbs, reaches no pixel: the map
    does not add up to the logit unless both are nothing. A rectifier hands relevance on, maximum pooling to the largest
    value, concatenation and reshaping to where a value came from. Batch normalisation directly behind a convolution or
    linear layer is one affine step with it.

    By the detach trick (:class:`~shared.saliency.lrp.rules.Rule`), all that is one forward pass and one backward pass
    for each class, on the network as it is, through concatenation, functional rectifiers and modules that run several
    times.

    With epsilon near 0, as libraries have it by default, the maps of networks of these layers are input × gradient: an
    epsilon that changes anything is of the size of the steps' outputs. By default it is a share of that size, step by
    step and image by image, so that it means the same in every layer and network. Behind batch normalisation, whose
    outputs are of size 1, an absolute epsilon of that share is about the same.

    Besides the graph of an ordinary forward pass, the memory holds a factor for each feature map, whatever the number
    of classes: for DenseNet121, five classes and four images of 320 × 320 pixels, 1.3 GiB at the peak (gamma: 2.1 GiB),
    where input × gradient takes 1.2 GiB.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        rule: ``"epsilon"`` (:class:`~shared.saliency.lrp.rules.EpsilonRule`) or ``"gamma"``
            (:class:`~shared.saliency.lrp.rules.GammaRule`), in all affine steps.
        epsilon: positive, in the units of the affine steps' outputs; in the denominator of both rules. ``None``: with
            the rule ``"gamma"``, whose denominators are no smaller than the outputs, 1e-6; with ``"epsilon"``
            ``relative_epsilon`` counts.
        gamma: of the rule ``"gamma"``, not negative.
        relative_epsilon: epsilon of the rule ``"epsilon"`` as a share of the root mean square of each step's outputs
            of an image, where ``epsilon`` is ``None``. A quarter is what the tutorial to Montavon et al. 2019
            (git.tu-berlin.de/gmontavon/lrp-tutorial) takes for the middle layers of VGG-16.

    Raises:
        ValueError: if the rule is unknown or a number out of its range; in ``attribute``, if the network calls a
            function without a rule, which is named.
    """

    def __init__(
        self,
        network: nn.Module,
        rule: Literal["epsilon", "gamma"] = "epsilon",
        epsilon: float | None = None,
        gamma: float = 0.25,
        relative_epsilon: float = 0.25,
    ) -> None:
        super().__init__(network)
        if rule not in ("epsilon", "gamma"):
            raise ValueError(f"rule must be 'epsilon' or 'gamma', found {rule!r}")
        if (epsilon is not None and epsilon <= 0) or relative_epsilon <= 0 or gamma < 0:
            raise ValueError(
                f"epsilon and relative_epsilon must be positive and gamma not negative, found {epsilon}, "
                f"{relative_epsilon} and {gamma}"
            )
        self.rule = rule
        self.epsilon = epsilon
        self.gamma = gamma
        self.relative_epsilon = relative_epsilon

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        with self._relevance_graph(images) as (leaf, logits):
            scores = class_scores(logits, resolve_target(logits, target))
            (gradient,) = torch.autograd.grad(scores.sum(), leaf)
        return images * gradient

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        with self._relevance_graph(images) as (leaf, logits):
            gradients = class_gradients(logits, leaf, resolve_classes(logits, classes))
        return ClassMaps(logits, images[:, None] * gradients)

    @contextmanager
    def _relevance_graph(self, images: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield images that require gradients and logits ``(B, K)`` whose gradients are those of the rule."""
        leaf = images.detach().requires_grad_()
        # in half precision, as an evaluator's autocast would have it, small factors vanish
        with frozen_parameters(self.network), torch.autocast(images.device.type, enabled=False):
            with RelevanceGraph(self._step_rule(), leaf) as graph:
                output = self.network(leaf)
            yield leaf, check_logits(graph.finished(output), images)

    def _step_rule(self) -> Rule:
        """Return the rule of all affine steps."""
        if self.rule == "gamma":
            return GammaRule(self.gamma, SMALL_EPSILON if self.epsilon is None else self.epsilon)
        if self.epsilon is None:
            return EpsilonRule(self.relative_epsilon, relative=True)
        return EpsilonRule(self.epsilon)
