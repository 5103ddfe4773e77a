"""A classifier's head seen as what it does once and what it does anew for every Monte Carlo dropout sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["Stage", "draw_masks", "gathered_samples", "grouped_samples", "split_head"]

# A gathered block of weights should still lie in the processor's cache when it is multiplied.
ROWS_AT_ONCE = 512
# Dense samples are computed in groups of at most so many activations, or one sample where the batch alone is larger.
ACTIVATIONS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Stage:
    """Rectifier (or none), dropout (or none) and linear layer: one step of what is repeated for every sample.

    Attributes:
        rectify: whether the input is rectified first.
        rate: probability that a unit of the input is dropped, in [0, 1).
        linear: the linear layer, maps ``(B, D)`` to ``(B, D')``.
    """

    rectify: bool
    rate: float
    linear: nn.Linear


def split_head(head: nn.Sequential) -> tuple[list[nn.Module], list[Stage]]:
    """Split a head at its first dropout.

    A rectifier and a dropout may be exchanged, since the dropout's factor is not negative; dropouts in succession are
    one dropout that keeps a unit with the product of their probabilities.

    Args:
        head: sequence of :class:`torch.nn.Dropout`, ``Linear`` and ``ReLU`` that ends in ``Linear``.

    Returns:
        The modules before the first dropout with a rate above 0, and the stages from there on (empty if there is no
        such dropout).

    Raises:
        TypeError: if ``head`` is no ``nn.Sequential`` or holds any other module.
        ValueError: if it does not end in a linear layer, or a rate is 1.
    """
    if not isinstance(head, nn.Sequential):
        raise TypeError(f"Monte Carlo dropout needs a head of type nn.Sequential, found {type(head).__name__}")
    for name, module in head.named_children():
        if type(module) not in (nn.Dropout, nn.Linear, nn.ReLU):
            raise TypeError(
                f"head.{name} is a {type(module).__name__}; Monte Carlo dropout handles heads of nn.Dropout, nn.Linear "
                "and nn.ReLU only: move other layers into `features`, before the first dropout"
            )
        if isinstance(module, nn.Dropout) and not 0 <= module.p < 1:
            raise ValueError(f"head.{name} drops units with probability {module.p}; expected a value in [0, 1)")
    modules = [module for module in head if not (isinstance(module, nn.Dropout) and module.p == 0)]
    if not modules or not isinstance(modules[-1], nn.Linear):
        raise ValueError("the head must end in nn.Linear")

    first = next((i for i, module in enumerate(modules) if isinstance(module, nn.Dropout)), len(modules))
    stages, rectify, keep = [], False, 1.0
    for module in modules[first:]:
        if isinstance(module, nn.ReLU):
            rectify = True
        elif isinstance(module, nn.Dropout):
            keep *= 1 - module.p
        elif isinstance(module, nn.Linear):
            stages.append(Stage(rectify, 1 - keep, module))
            rectify, keep = False, 1.0
    return modules[:first], stages


def draw_masks(stages: Sequence[Stage], samples: int, seed: int) -> list[torch.Tensor | None]:
    """Draw which units survive.

    Row ``s`` of stage ``l`` depends on ``(seed, l, s)`` alone: not on the images, nor on the number of samples.

    Args:
        stages: the stages of :func:`split_head`.
        samples: number of samples S.
        seed: any non-negative integer.

    Returns:
        For each stage a boolean mask ``(S, D)``, true where the unit survives, or ``None`` if it drops nothing.
    """
    masks: list[torch.Tensor | None] = []
    for layer, stage in enumerate(stages):
        if stage.rate == 0:
            masks.append(None)
            continue
        generator = np.random.default_rng([seed, layer])
        rows = [generator.random(stage.linear.in_features) >= stage.rate for _ in range(samples)]
        masks.append(torch.from_numpy(np.stack(rows)))
    return masks


def grouped_samples(
    stages: Sequence[Stage], masks: Sequence[torch.Tensor | None], hidden: torch.Tensor, out: torch.Tensor
) -> None:
    """Compute the samples densely, several at once: best for narrow layers, few images, and on a GPU.

    Args:
        stages: the stages of :func:`split_head`.
        masks: survivors of each stage, ``(S, D)`` or ``None``, on the device of ``hidden``.
        hidden: what comes before the first dropout, ``(B, D)``.
        out: where the logits are written, ``(B, S, K)``.
    """
    widest = max(max(stage.linear.in_features, stage.linear.out_features) for stage in stages)
    group = max(1, ACTIVATIONS_AT_ONCE // (len(hidden) * widest))
    for start in range(0, out.shape[1], group):
        samples = slice(start, start + group)
        x = hidden.unsqueeze(0)  # (1, B, D), and (G, B, D) after the first dropout
        for stage, mask in zip(stages, masks, strict=True):
            if stage.rectify:
                x = x.relu()
            if mask is not None:
                x = x * (mask[samples].to(x.dtype) / (1 - stage.rate)).unsqueeze(1)
            x = F.linear(x, stage.linear.weight, stage.linear.bias)
        out[:, samples] = x.transpose(0, 1)


def gathered_samples(
    stages: Sequence[Stage], masks: Sequence[torch.Tensor | None], hidden: torch.Tensor, out: torch.Tensor
) -> None:
    """Compute the samples one by one from the surviving units only: best for wide layers and many images.

    Neither the inputs that a stage drops nor the outputs that the next stage drops are computed. The weights are
    transposed once, so that the survivors are whole rows, and gathered in blocks that stay in the cache; for few
    images or narrow layers this copying costs more than it saves.

    Args:
        stages: the stages of :func:`split_head`.
        masks: survivors of each stage, ``(S, D)`` or ``None``, on the device of ``hidden``.
        hidden: what comes before the first dropout, ``(B, D)``.
        out: where the logits are written, ``(B, S, K)``.
    """
    # each factor 1 / (1 - p) is taken into the weights that meet the surviving inputs
    weights = [(stage.linear.weight / (1 - stage.rate)).t().contiguous() for stage in stages]  # (D, D')
    workspaces = [weight.new_empty(ROWS_AT_ONCE, weight.shape[1]) for weight in weights]
    first = hidden.to(weights[0].dtype)
    if stages[0].rectify:
        first = first.relu()
    for sample in range(out.shape[1]):
        survivors = [None if mask is None else mask[sample].nonzero()[:, 0] for mask in masks]
        x = first if survivors[0] is None else first.index_select(1, survivors[0])
        for i, stage in enumerate(stages):
            if i > 0 and stage.rectify:
                x = x.relu_()
            columns = survivors[i + 1] if i + 1 < len(stages) else None
            x = _surviving_product(x, weights[i], stage.linear.bias, survivors[i], columns, workspaces[i])
        out[:, sample] = x


def _surviving_product(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    rows: torch.Tensor | None,
    columns: torch.Tensor | None,
    workspace: torch.Tensor,
) -> torch.Tensor:
    """Multiply surviving inputs ``(B, R)`` by the surviving rows and columns of a weight ``(D, D')``: ``(B, C)``."""
    if bias is None:
        bias = weight.new_zeros(weight.shape[1])
    if columns is not None:
        bias = bias.index_select(0, columns)
    if rows is None and columns is None:
        return torch.addmm(bias, x, weight)
    if rows is None:
        rows = torch.arange(len(weight), device=weight.device)
    out = bias.repeat(len(x), 1)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        # a fresh 4 MiB block each time would cost more in page faults than the copy itself
        block = torch.index_select(weight, 0, part, out=workspace[: len(part)])
        if columns is not None:
            block = block.index_select(1, columns)
        out.addmm_(x[:, start : start + ROWS_AT_ONCE], block)
    return out
