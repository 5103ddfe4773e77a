"""Bags of 16 to 198 instances: ragged batches against padded ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.networks.nets import ResNet
from torch import nn

from shared.evaluation.timing import Comparison
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.base import Pooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.ragged import from_padded, to_padded

SMALLEST, LARGEST = 16, 198
WIDTH, IMAGE_SIZE, IMAGE_BAGS = 8, 56, 4
EMBEDDING, EMBEDDING_BAGS = 2048, 16
GOAL = 1.2  # of the encoder, which does not work on padding

Padded = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield forward and backward pass of an encoder with mean pooling, and of three pooling operators alone."""
    torch.manual_seed(seed)
    lengths = bag_sizes(IMAGE_BAGS, seed).to(device)
    images = torch.rand(int(lengths.sum()), 3, IMAGE_SIZE, IMAGE_SIZE, device=device)
    padded_images, mask = to_padded(images, lengths)
    # in training mode, batch normalisation would take the padding into its statistics
    encoder = residual_network(WIDTH).to(device).eval()
    yield Comparison(
        name=f"encoder and mean, {IMAGE_BAGS} bags",
        subject=partial(ragged_step, encoder, images, lengths),
        rivals={"padded, then masked": partial(padded_step, encoder, padded_images, mask)},
        goals={"padded, then masked": GOAL},
    )
    lengths = bag_sizes(EMBEDDING_BAGS, seed).to(device)
    embeddings = torch.randn(int(lengths.sum()), EMBEDDING, device=device)
    attention = AttentionPooling(EMBEDDING).to(device)
    ways: dict[str, tuple[Pooling, Padded]] = {
        "mean": (MeanPooling(), padded_mean),
        "max": (MaxPooling(), padded_max),
        "attention": (attention, partial(padded_attention, attention)),
    }
    padded, mask = to_padded(embeddings, lengths)
    for name, (pooling, dense) in ways.items():
        yield Comparison(
            name=f"{name} pooling, {EMBEDDING_BAGS} bags",
            subject=partial(with_gradient, pooling, embeddings, lengths),
            rivals={
                "padded, dense": partial(with_gradient, dense, padded, mask),
                "padded, as it is offered": partial(with_gradient, partial(of_padded, pooling), padded, mask),
            },
        )


def bag_sizes(bags: int, seed: int) -> torch.Tensor:
    """Draw sizes like those of the lymphocytosis patients, ``(B,)``: 16 to 198, their mean near 80."""
    sizes = np.exp(np.random.default_rng(seed).uniform(np.log(SMALLEST), np.log(LARGEST), bags - 2))
    return torch.tensor([SMALLEST, LARGEST, *np.rint(sizes).astype(int)])


def residual_network(width: int) -> nn.Module:
    """Return a residual network of one block per stage, as wide as ResNet(K): images to ``(T, 8 K)``."""
    return ResNet(
        block="basic",
        layers=[1, 1, 1, 1],
        block_inplanes=[width, 2 * width, 4 * width, 8 * width],
        spatial_dims=2,
        n_input_channels=3,
        feed_forward=False,
    )


def ragged_step(encoder: nn.Module, images: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Encode the images ``(T, 3, H, W)``, average each bag and go back; return the pooled embeddings ``(B, E)``."""
    encoder.zero_grad()
    pooled = MeanPooling()(encoder(images), lengths)
    pooled.square().sum().backward()
    return pooled.detach()


def padded_step(encoder: nn.Module, images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The same of padded images ``(B, N, 3, H, W)``, all of which are encoded."""
    encoder.zero_grad()
    pooled = padded_mean(encoder(images.flatten(0, 1)).unflatten(0, mask.shape), mask)
    pooled.square().sum().backward()
    return pooled.detach()


def with_gradient(pooling: Callable[..., torch.Tensor], instances: torch.Tensor, form: torch.Tensor) -> Any:
    """Pool and go back; return the pooled bags ``(B, E)`` and the gradient of their sum of squares."""
    instances = instances.detach().requires_grad_()
    pooled = pooling(instances, form)
    (gradient,) = torch.autograd.grad(pooled.square().sum(), instances)
    return pooled.detach(), gradient


def of_padded(pooling: Pooling, instances: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Pool a padded batch by way of a ragged one, as the operators do when they are given one."""
    return pooling(*from_padded(instances, mask))


def padded_mean(instances: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average ``(B, N, E)`` over the instances."""
    return (instances * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def padded_max(instances: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the maximum of ``(B, N, E)`` over the instances."""
    return instances.masked_fill(~mask.unsqueeze(2), -torch.inf).amax(dim=1)


def padded_attention(pooling: AttentionPooling, instances: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Weigh ``(B, N, E)`` by attention; padding is scored as well, and gets no weight."""
    logits = pooling.score(pooling.hidden(instances)).squeeze(2).masked_fill(~mask, -torch.inf)
    return (logits.softmax(dim=1).unsqueeze(1) @ instances).squeeze(1)
