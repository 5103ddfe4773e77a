"""Monte Carlo dropout with 100 samples against 100 passes through the network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from scripts.networks import AlexNet, LeNet5, LeukocyteNetwork
from shared.calibration.monte_carlo_dropout import MonteCarloDropout, naive_logits
from shared.evaluation.timing import Comparison

BUNDLE = "leukocyte_qpi"
SAMPLES = 100
DROPOUT = 0.5
GOALS = {("LeNet5", 64): 10.0, ("LeNet5", 256): 10.0, ("AlexNet", 64): 3.0, ("AlexNet", 256): 6.0}


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield both networks at batch sizes 64 and 256."""
    for name, network_type in (("LeNet5", LeNet5), ("AlexNet", AlexNet)):
        torch.manual_seed(seed)
        network = network_type(dropout=DROPOUT).to(device)
        for batch in (64, 256):
            images = torch.rand(batch, 1, 50, 50, device=device)
            yield Comparison(
                name=f"{name}, batch {batch}",
                subject=partial(MonteCarloDropout(network, SAMPLES, seed).logits, images),
                rivals={
                    f"{SAMPLES} passes": partial(naive_logits, network, images, SAMPLES),
                    f"features once, {SAMPLES} heads": partial(repeated_heads, network, images),
                },
                goals={f"{SAMPLES} passes": GOALS[name, batch]},
            )


@torch.no_grad()
def repeated_heads(network: LeukocyteNetwork, images: torch.Tensor) -> torch.Tensor:
    """Run the features once and the whole head for every sample: the obvious improvement, ``(B, S, K)``."""
    network.eval()
    hidden = network.features(images).flatten(1)
    network.head.train()
    return torch.stack([network.head(hidden) for _ in range(SAMPLES)], dim=1)
