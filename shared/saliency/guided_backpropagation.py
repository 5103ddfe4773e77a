"""Guided backpropagation that refuses where it would silently be something else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from shared.saliency.base import Attribution, ClassMaps, Sign, check_logits
from shared.saliency.targets import class_gradients, class_scores, resolve_classes, resolve_target

__all__ = ["GuidedBackpropagation"]

# Autograd's names of the operations that cut or bend at zero; a rule exists only for nn.ReLU modules.
_RECTIFIER_NODES = (
    "ReluBackward",
    "ThresholdBackward",
    "LeakyReluBackward",
    "PreluKernelBackward",
    "EluBackward",
    "GeluBackward",
    "SiluBackward",
    "MishBackward",
    "SoftplusBackward",
    "HardtanhBackward",
    "HardswishBackward",
    "ClampBackward",
    "ClampMinBackward",
)


class GuidedBackpropagation(Attribution):
    """Guided backpropagation (Springenberg et al. 2015, section 3.4), signed.

    The gradient of the logit, but each rectifier passes on only what is positive both in its input and in the gradient
    that arrives. Only ``nn.ReLU`` modules can be given that rule. A functional rectifier keeps its ordinary gradient,
    so a network with such would silently get the plain gradient, or a mixture. Therefore every call compares the
    rectifiers in the graph of the logits with those that ``nn.ReLU`` modules made, and refuses if any is left over.
    The rule stands in the graph of that one forward pass, which serves all classes; the network is not changed.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``, its rectifiers ``nn.ReLU`` modules.
    """

    sign: Sign = "absolute"

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        leaf, logits = self._guided_graph(images)
        scores = class_scores(logits, resolve_target(logits, target))
        (gradient,) = torch.autograd.grad(scores.sum(), leaf)
        return gradient

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        leaf, logits = self._guided_graph(images)
        return ClassMaps(logits, class_gradients(logits, leaf, resolve_classes(logits, classes)))

    def _guided_graph(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images that require gradients and logits whose graph has the rule at every rectifier."""
        by_module: set[torch.autograd.graph.Node] = set()

        def remember(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            if output.grad_fn is not None:
                by_module.add(output.grad_fn)

        leaf = images.detach().requires_grad_()
        hooks = [
            module.register_forward_hook(remember) for module in self.network.modules() if isinstance(module, nn.ReLU)
        ]
        try:
            logits = check_logits(self.network(leaf), images)
        finally:
            for hook in hooks:
                hook.remove()
        in_graph = _rectifiers(logits)
        if by_module.isdisjoint(in_graph):
            raise ValueError(
                "guided backpropagation needs nn.ReLU modules and found none on the way to the logits: the map would "
                "be the plain gradient; build the network with nn.ReLU modules or choose another method"
            )
        left_over = sorted({node.name() for node in in_graph if node not in by_module})
        if left_over:
            raise ValueError(
                f"guided backpropagation reaches nn.ReLU modules only, but the network also rectifies by {left_over}: "
                "there the map would be the plain gradient; replace functional rectifiers by nn.ReLU modules or choose "
                "another method"
            )
        for node in in_graph:
            node.register_prehook(_positive)
        return leaf, logits


def _positive(gradients: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Return what a rectifier may pass on of the gradients that arrive."""
    return tuple(gradient.clamp(min=0) for gradient in gradients)


def _rectifiers(logits: torch.Tensor) -> list[torch.autograd.graph.Node]:
    """Return the rectifier nodes in the graph that leads to the logits."""
    if logits.grad_fn is None:
        return []
    found, seen, pending = [], {logits.grad_fn}, [logits.grad_fn]
    while pending:
        node = pending.pop()
        if node.name().startswith(_RECTIFIER_NODES):
            found.append(node)
        following = {child for child, _ in node.next_functions if child is not None} - seen
        seen |= following
        pending.extend(following)
    return found
