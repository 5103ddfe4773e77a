"""What each torch function is to relevance: an affine step, a rectifier, a rearrangement, or nothing with a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import torch
import torch.nn.functional as F
from torch.overrides import resolve_name

from shared.saliency.lrp.affine_step import AffineStep, WeightedSum, channelwise, favour

if TYPE_CHECKING:
    from shared.saliency.lrp.relevance_graph import RelevanceGraph

__all__ = ["DESCRIPTIONS", "handler", "refuse"]

Function: TypeAlias = Callable[..., Any]

# ruff: noqa: A002 - parameters are named as torch names them, because networks may pass them by name

#: What tells something of a tensor without reading its values.
DESCRIPTIONS = frozenset(
    {"shape", "dtype", "device", "layout", "ndim", "is_cuda", "is_leaf", "requires_grad", "grad_fn"}
    | {"size", "dim", "ndimension", "numel", "nelement", "stride", "is_contiguous", "is_floating_point", "is_complex"}
    | {"get_device", "__len__"}
)

#: What hands on values as they are: relevance goes where its value came from. Of a maximum, that is the largest.
_REARRANGEMENTS = frozenset(
    {"view", "view_as", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "movedim"}
    | {"contiguous", "clone", "to", "float", "double", "expand", "expand_as", "repeat", "roll", "flip"}
    | {"cat", "concat", "concatenate", "stack", "split", "chunk", "unbind", "select", "narrow", "index_select"}
    | {"__getitem__", "pad"}
    | {f"{kind}max_pool{n}d{also}" for kind in ("", "adaptive_") for n in (1, 2, 3) for also in ("", "_with_indices")}
)


def refuse(func: Function, detail: str = "") -> NoReturn:
    """Say that a function has no rule.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"LRP has no rule for {resolve_name(func) or func.__name__}{detail}: it knows affine layers, batch "
        "normalisation by stored statistics, piecewise linear rectifiers, pooling, addition and concatenation; choose "
        "another method for this network"
    )


def handler(name: str) -> Function:
    """Return what runs the function of that name: ``(graph, func, *args, **kwargs)`` to its result."""
    return _HANDLERS.get(name, _unknown)


def _unknown(_graph: RelevanceGraph, func: Function, *_args: Any, **_kwargs: Any) -> NoReturn:
    refuse(func)


def _rearranged(graph: RelevanceGraph, func: Function, *args: Any, **kwargs: Any) -> Any:
    result = func(*graph.use(args), **{name: graph.use(argument) for name, argument in kwargs.items()})
    if isinstance(result, torch.Tensor):
        return graph.keep(result)
    for output in result:
        if output.is_floating_point():  # not the places of a maximum
            graph.keep(output)
    return result


def _weighted(
    graph: RelevanceGraph,
    func: Function,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *options: Any,
    **named: Any,
) -> torch.Tensor:
    """Run a linear layer or convolution."""
    if weight.requires_grad or (bias is not None and bias.requires_grad):
        refuse(func, " with weights that depend on the image")
    weighted = WeightedSum(func, graph.use(input), weight, bias, options, named)
    output = weighted()
    # the channels of batch normalisation are axis 1, the outputs of a linear layer the last axis
    foldable = func is not F.linear or output.ndim == 2
    return graph.keep(output, AffineStep(weighted.favoured, weighted=(lambda: weighted) if foldable else None))


def _batch_norm(
    graph: RelevanceGraph,
    func: Function,
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Run batch normalisation, as one step with the convolution or linear layer whose output it takes."""
    if func is not F.batch_norm:  # torch.batch_norm has its arguments in another order
        refuse(func)
    if training or running_mean is None or running_var is None:
        refuse(func, " by statistics of the batch")
    scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - running_mean * scale
    source, step = graph.current(input)
    layer = None if step is None else step.weighted
    if layer is None:
        source = graph.use(input)
    output = func(source, running_mean, running_var, weight, bias, training, momentum, eps)
    channels = channelwise(scale, output.ndim)

    def favoured(gamma: float) -> torch.Tensor:
        if layer is not None:
            return layer().normalised(scale, shift).favoured(gamma)
        return favour(source * channels, gamma) + channelwise(favour(shift, gamma), output.ndim)

    folded = None if layer is None else lambda: layer().normalised(scale, shift)
    return graph.keep(output, AffineStep(favoured, source, channels, folded))


def _averaged(graph: RelevanceGraph, func: Function, input: torch.Tensor, *options: Any, **named: Any) -> torch.Tensor:
    """Run a sum with positive weights that do not depend on the image."""
    x = graph.use(input)
    return graph.keep(func(x, *options, **named), AffineStep(lambda gamma: func(favour(x, gamma), *options, **named)))


def _added(
    graph: RelevanceGraph, func: Function, input: Any, other: Any, *, sign: int = 1, **named: Any
) -> torch.Tensor:
    """Run ``input + sign * other``."""
    if named:
        refuse(func, f" with {', '.join(named)}")
    terms = [graph.use(input), graph.use(other)]

    def favoured(gamma: float) -> torch.Tensor:
        return favour(terms[0], gamma) + favour(sign * terms[1], gamma)

    return graph.keep(func(*terms), AffineStep(favoured))


def _subtracted(graph: RelevanceGraph, func: Function, input: Any, other: Any, **named: Any) -> torch.Tensor:
    return _added(graph, func, input, other, sign=-1, **named)


def _subtracted_from(graph: RelevanceGraph, _func: Function, input: Any, other: Any) -> torch.Tensor:
    return _added(graph, lambda first, second: first - second, other, input, sign=-1)


def _multiplied(graph: RelevanceGraph, func: Function, input: Any, other: Any, **named: Any) -> torch.Tensor:
    """Run a product with, or a quotient by, what does not depend on the image."""
    both = all(isinstance(factor, torch.Tensor) and factor.requires_grad for factor in (input, other))
    inverted = func.__name__ == "div" and isinstance(other, torch.Tensor) and other.requires_grad
    if both or inverted or named:
        refuse(func, " of two tensors that both depend on the image" if both else " in this form")
    return graph.keep(func(graph.use(input), graph.use(other)))


def _negated(graph: RelevanceGraph, func: Function, input: torch.Tensor) -> torch.Tensor:
    return graph.keep(func(graph.use(input)))


def _rectified(
    graph: RelevanceGraph,
    _func: Function,
    input: torch.Tensor,
    inplace: bool = False,  # noqa: ARG001
) -> torch.Tensor:
    tensor, step = graph.current(input)
    return graph.keep(tensor.relu() if step is None else graph.rule.rectified(tensor, step))


def _clamped(
    graph: RelevanceGraph, func: Function, input: torch.Tensor, min: Any = None, max: Any = None
) -> torch.Tensor:
    if isinstance(min, torch.Tensor) or min != 0 or max is not None:
        refuse(func, " other than at min=0")
    return _rectified(graph, func, input)


def _leaky(
    graph: RelevanceGraph,
    _func: Function,
    input: torch.Tensor,
    negative_slope: float = 0.01,
    inplace: bool = False,  # noqa: ARG001
) -> torch.Tensor:
    return graph.keep(F.leaky_relu(graph.use(input), negative_slope))


def _parametric(graph: RelevanceGraph, func: Function, input: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if weight.requires_grad:
        refuse(func, " with a slope that depends on the image")
    return graph.keep(func(graph.use(input), weight))


def _dropped(
    _graph: RelevanceGraph,
    func: Function,
    input: torch.Tensor,
    p: float = 0.5,  # noqa: ARG001
    training: bool = True,
    inplace: bool = False,  # noqa: ARG001
) -> torch.Tensor:
    if training:
        refuse(func, " that is active in evaluation mode")
    return input


_HANDLERS: dict[str, Function] = {
    **dict.fromkeys(_REARRANGEMENTS, _rearranged),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "linear"), _weighted),
    **dict.fromkeys(("mean", "sum"), _averaged),
    **{f"{kind}avg_pool{n}d": _averaged for kind in ("", "adaptive_") for n in (1, 2, 3)},
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"), _dropped),
    "batch_norm": _batch_norm,
    "add": _added,
    "sub": _subtracted,
    "__rsub__": _subtracted_from,
    "mul": _multiplied,
    "div": _multiplied,
    "neg": _negated,
    "relu": _rectified,
    "clamp": _clamped,
    "leaky_relu": _leaky,
    "prelu": _parametric,
}
