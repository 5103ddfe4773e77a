"""Explanations of a bag of 10,000 instances against the time allowed, captum, and one model call for each instance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from captum.attr import InputXGradient, NoiseTunnel
from torch import Tensor, nn

from shared.evaluation.timing import Comparison
from shared.mil.levels import EmbeddingLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.leave_one_out import LeaveOneOut
from shared.saliency.bags.lrp import BagLRP
from shared.saliency.bags.quality.bag_quality import bag_quality
from shared.saliency.bags.smooth_grad import SmoothGradXInput

INSTANCES = 10_000
FEATURES = 512
HIDDEN = 128
DRAWS = 10
NOISE = 0.1
SPREAD = 40.0
FEW_CALLS = 10
LIMITS_MS = {"exact Shapley": 200.0, "LRP epsilon": 300.0, "LRP gamma": 300.0, "leave-one-out": 100.0}


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield each method on one bag of stored features, single precision, attention pooling and a linear head."""
    model, bag = model_and_bag(INSTANCES, device, seed)
    methods: dict[str, BagAttribution] = {
        "exact Shapley": ExactShapley(model),
        "LRP epsilon": BagLRP(model),
        "LRP gamma": BagLRP(model, rule="gamma"),
        "leave-one-out": LeaveOneOut(model),
    }
    for name, method in methods.items():
        yield Comparison(
            name=name,
            subject=partial(milliseconds, partial(method.attribute, bag)),
            rivals={"the time allowed": partial(float, LIMITS_MS[name])},
            goals={"the time allowed": 1.0},
            unit="ms",
        )
    yield Comparison(
        name="LRP epsilon",
        subject=partial(methods["LRP epsilon"].attribute, bag),
        rivals={"captum InputXGradient": partial(captum_gradient, model, bag)},
    )
    yield Comparison(
        name="gradient x input, double",
        subject=partial(GradientXInput(model).attribute, bag),
        rivals={"captum InputXGradient, double": partial(captum_gradient, double(model), bag.double())},
    )
    smooth = SmoothGradXInput(model, samples=DRAWS, noise_level=NOISE)
    yield Comparison(
        name=f"SmoothGrad x input, {DRAWS} draws",
        subject=partial(smooth.attribute, bag),
        rivals={
            "plain passes and noise": partial(plain_passes, model, bag),
            "captum NoiseTunnel": partial(captum_smooth_gradient, model, bag),
        },
        goals={"plain passes and noise": 1.0},
    )
    yield Comparison(
        name="leave-one-out",
        subject=partial(milliseconds, partial(methods["leave-one-out"].attribute, bag)),
        rivals={"a call each, extrapolated": partial(calls_extrapolated, model, bag)},
        unit="ms",
        rounds=1,
    )
    values = {name: method.attribute(bag) for name, method in methods.items()}
    truth = torch.zeros(INSTANCES, dtype=torch.bool)
    truth[: INSTANCES // 100] = True
    yield Comparison(
        name="quality of four methods",
        subject=lambda: milliseconds(lambda: bag_quality(model, bag, values, truth)),
        # AOPC of the methods and of ten random orders takes a call for every prefix
        rivals={"a call each, extrapolated": lambda: 14 * calls_extrapolated(model, bag) / 2},
        unit="ms",
        rounds=1,
    )


def model_and_bag(instances: int, device: torch.device, seed: int) -> tuple[EmbeddingLevel, Tensor]:
    """Return a classifier whose attention logits span :data:`SPREAD`, and a bag of normal features, ``(N, E)``."""
    torch.manual_seed(seed)
    pooling, bag = AttentionPooling(FEATURES, HIDDEN), torch.randn(instances, FEATURES)
    with torch.no_grad():
        logits = pooling.attend(bag)
        pooling.score.weight *= SPREAD / (logits.max() - logits.min())
    return EmbeddingLevel(pooling, nn.Linear(FEATURES, 1)).eval().to(device), bag.to(device)


def double(model: EmbeddingLevel) -> EmbeddingLevel:
    """Return a copy of the model in double precision."""
    copied = EmbeddingLevel(AttentionPooling(FEATURES, HIDDEN), nn.Linear(FEATURES, 1))
    copied.load_state_dict(model.state_dict())
    return copied.double().eval().to(next(model.parameters()).device)


def captum_gradient(model: EmbeddingLevel, bag: Tensor) -> Tensor:
    """Return captum's input x gradient, ``(N,)``."""
    return InputXGradient(model).attribute(bag[None].clone().requires_grad_(), target=0)[0].sum(dim=1).detach()


def captum_smooth_gradient(model: EmbeddingLevel, bag: Tensor) -> Tensor:
    """Return the mean of captum's input x gradient over noisy copies, ``(N,)``."""
    tunnel = NoiseTunnel(InputXGradient(model))
    settings = {"nt_samples": DRAWS, "nt_samples_batch_size": 1, "stdevs": NOISE * float(bag.max() - bag.min())}
    return tunnel.attribute(bag[None].clone().requires_grad_(), target=0, **settings)[0].sum(dim=1).detach()


def plain_passes(model: EmbeddingLevel, bag: Tensor) -> Tensor:
    """Return the mean of input x gradient over noisy copies by as many plain forward and backward passes, ``(N,)``."""
    deviation = NOISE * (bag.max() - bag.min())
    lengths = torch.tensor([len(bag)], device=bag.device)
    model.requires_grad_(False)
    total = torch.zeros(len(bag), device=bag.device)
    for _ in range(DRAWS):
        noisy = (bag + deviation * torch.randn_like(bag)).requires_grad_()
        model(noisy, lengths)[0, 0].backward()
        assert noisy.grad is not None
        total += (noisy.detach() * noisy.grad).sum(dim=1)
    model.requires_grad_(True)
    return total / DRAWS


@torch.no_grad()
def calls_extrapolated(model: EmbeddingLevel, bag: Tensor) -> float:
    """Return the milliseconds of one call for each left-out instance, from the first few."""
    lengths = torch.tensor([len(bag) - 1], device=bag.device)

    def few() -> None:
        for left_out in range(FEW_CALLS):
            model(torch.cat([bag[:left_out], bag[left_out + 1 :]]), lengths)

    return milliseconds(few) * len(bag) / FEW_CALLS


def milliseconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start)
