"""Following a network's own functions, so that its graph of gradients becomes one of relevance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from shared.saliency.lrp.affine_step import AffineStep
from shared.saliency.lrp.functions import DESCRIPTIONS, handler, refuse
from shared.saliency.lrp.rules import Rule

__all__ = ["RelevanceGraph"]


@dataclass
class _Trace:
    """What is known of a tensor that the network holds; never the tensor itself, which would then keep itself alive.

    Attributes:
        graph: the graph in which that is so; not that of an earlier call, if the network keeps tensors.
        version: count of the changes in place of the tensor's memory.
        step: the affine step that the tensor is the output of; ``None`` if it already has its final graph.
        finished: the same values with their final graph, once they have been used.
        replacement: what stands for the tensor since it was changed in place.
    """

    graph: RelevanceGraph
    version: tuple[int, int]
    step: AffineStep | None = None
    finished: torch.Tensor | None = None
    replacement: torch.Tensor | None = None


class RelevanceGraph(TorchFunctionMode):
    """Inside this context, functions of the images get the gradients that a relevance rule gives them.

    It sees every call of a torch function, and so needs neither hooks nor certain layers: a functional rectifier is one
    like ``nn.ReLU``, a module may run any number of times, and a tensor may go many ways. The network is not changed,
    and its output is the same to the last bit.

    An affine step's rule is applied when its output is used, because that decides: batch normalisation directly behind
    a convolution or linear layer is one affine step with it, so that a network has the same relevance before and after
    the two are merged for deployment; and a rectifier shares one factor with the rule.

    What depends on the images and has no rule is refused by name, and so is what happened out of sight, in a scripted
    module for instance: it would get the plain gradient, and the maps would be neither relevance nor gradient.

    The network's parameters must not require gradients inside: what requires one depends on the images.

    Args:
        rule: the rule of all affine steps.
        images: images ``(B, C, H, W)`` that require gradients.
    """

    def __init__(self, rule: Rule, images: torch.Tensor) -> None:
        super().__init__()
        self.rule = rule
        self._changes: dict[int, int] = {}
        self.keep(images)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function that the network calls."""
        kwargs = kwargs or {}
        if not any(tensor.requires_grad for tensor in tensors_in((args, list(kwargs.values())))):
            return func(*args, **kwargs)
        name = func.__self__.__name__ if func.__name__ == "__get__" else func.__name__  # type: ignore[attr-defined]
        if name in DESCRIPTIONS:
            return func(*args, **kwargs)
        in_place = name.endswith("_") and not name.endswith("__")
        if in_place:
            if not args or not args[0].requires_grad:
                refuse(func, " on a tensor that does not depend on the image")
            name = name.removesuffix("_")
            func = getattr(torch.Tensor, name, func)
        result = handler(name)(self, func, *args, **kwargs)
        if in_place or kwargs.get("inplace"):
            self._replace(kwargs["input"] if "input" in kwargs else args[0], result)
        return result

    def keep(self, output: torch.Tensor, step: AffineStep | None = None) -> torch.Tensor:
        """Mark a tensor as made here, as the output of an affine step or with its final graph, and return it.

        Raises:
            ValueError: if it has no graph.
        """
        if not output.requires_grad:
            raise ValueError(
                "LRP cannot follow a network that computes on the images without gradients: under no_grad, or in the "
                "forward pass of a custom autograd function"
            )
        output._relevance_trace = _Trace(self, self._version(output), step)  # type: ignore[attr-defined]
        return output

    def current(self, tensor: torch.Tensor) -> tuple[torch.Tensor, AffineStep | None]:
        """Return what stands for a tensor of the network, and the affine step that it is the output of, if any.

        Raises:
            ValueError: if it depends on the images in a way that was not seen.
        """
        trace = getattr(tensor, "_relevance_trace", None)
        if trace is None or trace.graph is not self:
            made = "a leaf" if tensor.grad_fn is None else f"the result of {tensor.grad_fn.name()}"
            raise ValueError(
                f"LRP cannot follow {made}, which was computed out of sight: by a scripted or compiled module, a "
                "custom autograd function, or from a tensor that requires gradients and is no parameter"
            )
        if trace.version != self._version(tensor):
            raise ValueError(
                "LRP cannot follow a tensor that was changed in place through another one that shares its memory: "
                "let the network change a clone"
            )
        return (tensor, trace.step) if trace.replacement is None else self.current(trace.replacement)

    def use(self, argument: Any) -> Any:
        """Return arguments of a function with their final graphs, nested or not."""
        if isinstance(argument, (list, tuple)):
            return type(argument)([self.use(item) for item in argument])
        if not isinstance(argument, torch.Tensor) or not argument.requires_grad:
            return argument
        tensor, step = self.current(argument)
        if step is None:
            return tensor
        trace = tensor._relevance_trace  # type: ignore[attr-defined]
        if trace.finished is None:
            trace.finished = self.keep(self.rule.finished(tensor, step))
        return trace.finished

    def finished(self, output: Any) -> Any:
        """Return the network's output with its final graph.

        Raises:
            ValueError: if it does not depend on the images.
        """
        if isinstance(output, torch.Tensor) and not output.requires_grad:
            refuse(torch.Tensor.detach)
        return self.use(output)

    def _replace(self, changed: torch.Tensor, result: torch.Tensor) -> None:
        """Let a result stand for a tensor that the network believes changed, and spoil what shares its memory."""
        if changed is result:
            return
        memory = changed.untyped_storage().data_ptr()
        if result.untyped_storage().data_ptr() != memory:
            self._changes[memory] = self._changes.get(memory, 0) + 1
        changed._relevance_trace = _Trace(self, self._version(changed), replacement=result)  # type: ignore[attr-defined]

    def _version(self, tensor: torch.Tensor) -> tuple[int, int]:
        """Return how often the tensor's memory was changed in place, as the network believes and as torch counts."""
        return self._changes.get(tensor.untyped_storage().data_ptr(), 0), tensor._version


def tensors_in(arguments: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested lists and tuples."""
    if isinstance(arguments, torch.Tensor):
        yield arguments
    elif isinstance(arguments, (list, tuple)):
        for argument in arguments:
            yield from tensors_in(argument)
