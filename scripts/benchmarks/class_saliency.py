"""Maps of five classes for four images of 320 × 320 by DenseNet121: one forward pass against captum for each class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from monai.networks.nets import DenseNet121
from torch import nn

from shared.evaluation.peak_memory import device_memory, peak_memory
from shared.evaluation.timing import Comparison
from shared.saliency.base import Attribution
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.lrp import LRP

CLASSES, IMAGES, IMAGE_SIZE = 5, 4, 320
CAPTUM, FLOOR = "captum for each class", "one forward, five backward"


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield the times of input × gradient and of both rules of LRP, and their peak memory beyond the network."""
    way = partial(prepared, device.type, seed)
    yield Comparison(
        name="input x gradient",
        subject=way("input x gradient"),
        rivals={CAPTUM: way(CAPTUM), FLOOR: way(FLOOR)},
        goals={CAPTUM: 1.4, FLOOR: 1 / 1.1},
    )
    yield Comparison(name="LRP-epsilon", subject=way("LRP-epsilon"), rivals={FLOOR: way(FLOOR)}, goals={FLOOR: 1 / 1.5})
    yield Comparison(name="LRP-gamma", subject=way("LRP-gamma"), rivals={FLOOR: way(FLOOR)}, rounds=1)
    measure = device_memory if device.type == "cuda" else peak_memory
    memory = partial(partial, measure, prepared, device.type, seed)
    yield Comparison(
        name="peak memory",
        subject=memory("input x gradient"),
        rivals={CAPTUM: memory(CAPTUM), "LRP-epsilon": memory("LRP-epsilon"), "LRP-gamma": memory("LRP-gamma")},
        unit="MiB",
        rounds=1,
    )


def prepared(device: str, seed: int, way: str) -> Callable[[], torch.Tensor]:
    """Make network and images.

    Returns:
        A function that computes the maps ``(B, classes, 1, H, W)`` of all classes in one of the ways.
    """
    torch.manual_seed(seed)
    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=CLASSES).to(device).eval()
    images = torch.rand(IMAGES, 1, IMAGE_SIZE, IMAGE_SIZE, device=device)
    if way == CAPTUM:
        return partial(each_class, network, images)
    if way == FLOOR:
        return partial(one_forward, network, images)
    methods: dict[str, Attribution] = {
        "input x gradient": InputXGradient(network),
        "LRP-epsilon": LRP(network, "epsilon"),
        "LRP-gamma": LRP(network, "gamma"),
    }
    return lambda: methods[way].attribute_classes(images).maps


def each_class(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Call captum for one class after another."""
    method = CaptumInputXGradient(network)
    leaf = images.clone().requires_grad_()
    maps = [method.attribute(leaf, target=index).detach() for index in range(CLASSES)]
    return torch.stack(maps, dim=1)


def one_forward(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Differentiate the classes' logits of one forward pass by the images: what no method on gradients can go below."""
    leaf = images.clone().requires_grad_()
    logits = network(leaf)
    gradients = [
        torch.autograd.grad(logits[:, index].sum(), leaf, retain_graph=index + 1 < CLASSES)[0]
        for index in range(CLASSES)
    ]
    return images[:, None] * torch.stack(gradients, dim=1)
