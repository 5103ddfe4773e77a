"""A network's layers in the order from the logit to the input, and what they are before anything is learnt."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterable

import torch
from torch import nn

from shared.saliency.base import evaluation_mode

__all__ = ["layers_from_logit", "redraw", "untrained_network"]

Forward = Callable[[nn.Module], object]
"""Runs a network once, on few samples."""


def layers_from_logit(network: nn.Module, forward: Forward) -> list[str]:
    """Return the names of all modules that hold something learnt, in the order from the logit to the input.

    Such a module has parameters of its own, or statistics of what it normalises. The order is that of a forward pass,
    reversed; a module that runs several times stands where it runs last. One that the pass did not call as a module
    stands beside the one that was registered before it.

    Args:
        network: the network.
        forward: runs it on few samples.

    Raises:
        ValueError: if nothing in the network is learnt.

    Example:
        >>> network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> layers_from_logit(network, lambda network: network(torch.zeros(1, 3)))
        ['2', '0']
    """
    calls: dict[nn.Module, int] = {}

    def note(module: nn.Module, _inputs: object, _output: object) -> None:
        calls.pop(module, None)  # a module that runs again moves to the end
        calls[module] = 0

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad(), evaluation_mode(network):
            forward(network)
    finally:
        for hook in hooks:
            hook.remove()
    order = {module: number for number, module in enumerate(calls)}
    places: dict[str, int] = {}
    before = -1
    for name, module in network.named_modules():
        before = order.get(module, before) if _is_learnt(module) else before
        if _is_learnt(module):
            places[name] = before
    if not places:
        raise ValueError(f"{type(network).__name__} has no parameters: there is nothing to randomise")
    return sorted(places, key=lambda name: places[name], reverse=True)


def redraw(network: nn.Module, names: Iterable[str], seed: int) -> None:
    """Replace what some layers have learnt by new draws, in place.

    A layer of torch is initialised as torch does it (``reset_parameters``); normalisation so becomes the identity with
    statistics 0 and 1. A parameter of any other module is drawn from a normal distribution of mean 0 and of its own
    root mean square, so that its scale stays. A layer's draw depends on the seed and its name only: not on the other
    layers, device, precision or the global random state, which is neither read nor changed.

    Args:
        network: the network.
        names: of the layers.
        seed: of the draws.
    """
    for name in names:
        module = network.get_submodule(name)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            # torch.manual_seed would also seed the accelerators
            torch.default_generator.manual_seed(zlib.crc32(f"{seed}/{name}".encode()))
            fresh = _without_children(module).cpu().float()
            if callable(reset := getattr(fresh, "reset_parameters", None)):
                reset()
            else:
                for parameter in fresh.parameters():
                    size = parameter.square().mean().sqrt()
                    parameter.normal_().mul_(size)
            own = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
            drawn = dict(fresh.named_parameters(recurse=False)) | dict(fresh.named_buffers(recurse=False))
            for key, value in own.items():
                value.copy_(drawn[key])


def untrained_network(network: nn.Module, forward: Forward, seed: int = 0) -> nn.Module:
    """Return a copy of a network with random weights: what it was before training; see :func:`redraw`.

    Args:
        network: left as it is.
        forward: runs it on few samples.
        seed: of the draws.
    """
    fresh = copy.deepcopy(network)
    redraw(fresh, layers_from_logit(network, forward), seed)
    return fresh.eval()


def _is_learnt(module: nn.Module) -> bool:
    own = next(module.parameters(recurse=False), None) is not None
    return own or getattr(module, "running_mean", None) is not None


def _without_children(module: nn.Module) -> nn.Module:
    """Return a copy of a module, or, where it cannot reset itself, of its own parameters and buffers alone."""
    if callable(getattr(module, "reset_parameters", None)):
        return copy.deepcopy(module)
    bare = nn.Module()
    for key, parameter in module.named_parameters(recurse=False):
        bare.register_parameter(key, nn.Parameter(parameter.detach().clone()))
    for key, buffer in module.named_buffers(recurse=False):
        bare.register_buffer(key, buffer.detach().clone())
    return bare
