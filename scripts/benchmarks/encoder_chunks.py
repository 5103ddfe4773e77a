"""A training step on a bag of 198 images of 224 × 224 by the bundle's network: in chunks against the whole bag."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.nn import functional as F

from scripts.experts import ImageClassifier
from shared.evaluation.peak_memory import device_memory, peak_memory
from shared.evaluation.timing import Comparison

BUNDLE = "lymphocytosis_moe"
WIDTH, IMAGE_SIZE, BAG, SMALL_BAG, CHUNK = 64, 224, 198, 64, 32
TIMED_BAG, TIMED_CHUNK = 24, 8
WHOLE, SMALL = f"whole bag of {BAG}", f"in chunks, bag of {SMALL_BAG}"


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield the peak memory of the step beyond network and images, which a bag three times larger must not raise.

    And the time, of a small bag: recomputation costs up to one more forward pass.
    """
    step = partial(training_step, device.type, seed)
    memory = device_memory if device.type == "cuda" else peak_memory
    yield Comparison(
        name=f"peak memory, chunks of {CHUNK}",
        subject=partial(memory, step, BAG, CHUNK),
        rivals={WHOLE: partial(memory, step, BAG, BAG), SMALL: partial(memory, step, SMALL_BAG, CHUNK)},
        goals={WHOLE: 3.0, SMALL: 0.8},
        unit="MiB",
        rounds=1,
    )
    yield Comparison(
        name=f"time, chunks of {TIMED_CHUNK}",
        subject=training_step(device.type, seed, TIMED_BAG, TIMED_CHUNK),
        rivals={f"whole bag of {TIMED_BAG}": training_step(device.type, seed, TIMED_BAG, TIMED_BAG)},
        rounds=3,
    )


def training_step(device: str, seed: int, bag: int, chunk: int) -> Callable[[], torch.Tensor]:
    """Make the expert on images and a bag for it.

    It is in training mode, with group normalisation: both ways compute the same.

    Returns:
        A function that computes the loss of the bag and goes back, and returns the logit ``(1, 1)``.
    """
    torch.manual_seed(seed)
    network = ImageClassifier(WIDTH, IMAGE_SIZE, normalisation="group", chunk_size=chunk).to(device).train()
    images = torch.randint(0, 256, (bag, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8, device=device)
    lengths = torch.tensor([bag], device=device)

    def step() -> torch.Tensor:
        network.zero_grad()
        logit = network(images, lengths)
        F.binary_cross_entropy_with_logits(logit, torch.ones_like(logit)).backward()
        return logit.detach()

    return step
