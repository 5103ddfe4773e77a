"""Guided backpropagation that refuses where it would silently be something else."""

from __future__ import annotations

import warnings

import torch
from captum.attr import GuidedBackprop
from torch import nn

from shared.saliency.base import Attribution, Sign, resolve_target

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
    """Guided backpropagation (Springenberg et al. 2015, section 3.4), by captum; signed.

    The gradient of the logit, but each rectifier passes on only what is positive both in its input and in the gradient
    that arrives. Only ``nn.ReLU`` modules can be given that rule. A functional rectifier keeps its ordinary gradient,
    so a network with such would silently get the plain gradient, or a mixture. Therefore every call compares the
    rectifiers in the graph of the logits with those that ``nn.ReLU`` modules made, and refuses if any is left over.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``, its rectifiers ``nn.ReLU`` modules.
    """

    sign: Sign = "absolute"

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        logits = self._checked_forward(images)
        targets = resolve_target(logits, target)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
            return GuidedBackprop(self.network).attribute(images.requires_grad_(), target=targets)

    def _checked_forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits, having made sure that all rectifiers on the way to them are ``nn.ReLU`` modules."""
        by_module: set[object] = set()

        def remember(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            by_module.add(output.grad_fn)

        hooks = [
            module.register_forward_hook(remember) for module in self.network.modules() if isinstance(module, nn.ReLU)
        ]
        try:
            logits = self.network(images.detach().requires_grad_())
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
        return logits.detach()


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
