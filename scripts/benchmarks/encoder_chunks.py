"""A bag of 198 images of 224 × 224, forward and backward: encoder in chunks against the whole bag."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from monai.networks.nets import ResNet
from torch import nn

from shared.evaluation.peak_memory import peak_memory
from shared.evaluation.timing import Comparison
from shared.mil.chunked_encoder import ChunkedEncoder

WIDTH, IMAGE_SIZE, BAG, SMALL_BAG, CHUNK = 64, 224, 198, 64, 16
WHOLE, SMALL = f"whole bag of {BAG}", f"in chunks, bag of {SMALL_BAG}"


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield the peak memory of the step beyond network and images (some 13 GB without chunks), and its time."""
    step = partial(training_step, device.type, seed)
    memory = device_memory if device.type == "cuda" else peak_memory
    yield Comparison(
        name=f"peak memory, chunks of {CHUNK}",
        subject=partial(memory, step, BAG, CHUNK),
        rivals={WHOLE: partial(memory, step, BAG, BAG), SMALL: partial(memory, step, SMALL_BAG, CHUNK)},
        goals={WHOLE: 5.0},
        unit="MiB",
        rounds=1,
    )
    yield Comparison(
        name=f"time, chunks of {CHUNK}",
        subject=training_step(device.type, seed, SMALL_BAG, CHUNK),
        rivals={f"whole bag of {SMALL_BAG}": training_step(device.type, seed, SMALL_BAG, SMALL_BAG)},
        rounds=3,
    )


def training_step(device: str, seed: int, bag: int, chunk: int) -> Callable[[], torch.Tensor]:
    """Make a residual network as wide as ResNet(64) and a bag of images.

    Batch normalisation is in evaluation mode, so that both ways compute the same.

    Returns:
        A function that encodes the bag, averages it and goes back, and returns the pooled embedding ``(E,)``.
    """
    torch.manual_seed(seed)
    planes = [WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH]
    network: nn.Module = ResNet("basic", [1, 1, 1, 1], planes, spatial_dims=2, n_input_channels=3, feed_forward=False)
    encoder = (ChunkedEncoder(network, chunk) if chunk < bag else network).to(device).eval()
    images = torch.rand(bag, 3, IMAGE_SIZE, IMAGE_SIZE, device=device)

    def step() -> torch.Tensor:
        encoder.zero_grad()
        pooled = encoder(images).mean(dim=0)
        pooled.square().sum().backward()
        return pooled.detach()

    return step


def device_memory(prepare: Callable[..., Callable[[], torch.Tensor]], *arguments: int) -> float:
    """Return by how much a GPU's allocated memory rises, at its peak, in a computation, in MiB."""
    computation = prepare(*arguments)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    computation()
    return (torch.cuda.max_memory_allocated() - before) / 2**20
