"""Deletion and insertion curves: what happens to a prediction when pixels go or come by the order of a map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from monai.networks.layers import GaussianFilter
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from shared.saliency.bags.quality.perturbation import descending_orders
from shared.saliency.base import Sign
from shared.saliency.baseline import Baseline, baseline_images
from shared.saliency.map_arrays import check_maps, check_sign, signed_part
from shared.saliency.quality import MapQuality

__all__ = ["PerturbationBaseline", "PerturbationCurves", "deletion_insertion", "perturbation_quality", "random_areas"]

PerturbationBaseline: TypeAlias = Baseline | Literal["blur"]
"""A baseline of :func:`shared.saliency.baseline.baseline_images`, or the blurred image."""

Predict: TypeAlias = Callable[[Tensor], Tensor]
"""Images ``(B, C, H, W)`` to probabilities ``(B, K)``; the network is in evaluation mode."""


class PerturbationCurves(NamedTuple):
    """Curves of B images, and the areas below them.

    Attributes:
        deletion: probability of each image's class after the share 0, 1/steps, … 1 of its pixels was replaced, the
            highest first, ``(B, steps + 1)``.
        insertion: the same while they are put into the baseline, ``(B, steps + 1)``.
        deletion_auc: mean height of each deletion curve, by the trapezoidal rule, ``(B,)``; low is good.
        insertion_auc: that of each insertion curve, ``(B,)``; high is good.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]
    deletion_auc: NDArray[np.float64]
    insertion_auc: NDArray[np.float64]


def deletion_insertion(
    predict: Predict,
    images: Tensor,
    maps: ArrayLike,
    targets: Tensor,
    steps: int = 20,
    baseline: PerturbationBaseline = "blur",
    *,
    sign: Sign = "signed",
    blur_sigma: float = 10.0,
    batch_size: int = 64,
    seed: int = 0,
) -> PerturbationCurves:
    """Delete the pixels of images, and insert them, by descending attribution.

    Petsiuk, Das and Saenko, RISE: randomized input sampling for explanation of black-box models, BMVC 2018, section
    4.2. Pixels go by rank; those of equal attribution are shuffled, in the same way in every image. The untouched
    image and the bare baseline end both curves and are shown to the network once.

    Args:
        predict: images ``(B, C, H, W)`` to probabilities ``(B, K)``, in evaluation mode.
        images: ``(B, C, H, W)``.
        maps: ``(B, H, W)``.
        targets: class of each image ``(B,)``.
        steps: parts in which the pixels go.
        baseline: what shows in the place of a pixel: ``"blur"`` for the blurred image, a grey value, ``"mean"`` or
            ``"minimum"`` of each image. A blurred image has no new edges, but what is wider than the blur stays in it.
        sign: see :func:`shared.saliency.quality.map_quality`.
        blur_sigma: standard deviation of the blur, in pixels.
        batch_size: images shown to the network at once.
        seed: of the order of equal attributions.

    Raises:
        ValueError: if shapes do not fit, a map is not finite, a number is out of its range, or an option is unknown.
    """
    check_sign(sign)
    attributions = signed_part(check_maps(maps), sign)
    if attributions.shape != (len(images), *images.shape[2:]):
        raise ValueError(f"maps must be (B, H, W) of images {tuple(images.shape)}, found {attributions.shape}")
    values = torch.from_numpy(np.ascontiguousarray(attributions)).to(images.device).flatten(1)
    walk = _Walk(predict, images, targets, steps, baseline, blur_sigma, batch_size)
    order = descending_orders(values, seed)
    deletion, insertion = walk.deletion(order), walk.insertion(order)
    return PerturbationCurves(deletion, insertion, _area(deletion), _area(insertion))


def random_areas(
    predict: Predict,
    images: Tensor,
    targets: Tensor,
    steps: int = 20,
    baseline: PerturbationBaseline = "blur",
    *,
    orders: int = 1,
    blur_sigma: float = 10.0,
    batch_size: int = 64,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the area below each image's curve when pixels go in random order: the chance level of all methods.

    To insert pixels in an order is to delete them in the reverse order, read backwards: one level holds for both areas.

    Args:
        predict: as in :func:`deletion_insertion`, as what follows.
        images: ``(B, C, H, W)``.
        targets: class of each image ``(B,)``.
        steps: parts in which the pixels go.
        baseline: what shows in the place of a pixel.
        orders: random orders for each image, over which the area is averaged.
        blur_sigma: standard deviation of the blur, in pixels.
        batch_size: images shown to the network at once.
        seed: of the orders.

    Returns:
        ``(B,)``.

    Raises:
        ValueError: as :func:`deletion_insertion`.
    """
    if orders < 1:
        raise ValueError(f"orders must be at least 1, found {orders}")
    walk = _Walk(predict, images, targets, steps, baseline, blur_sigma, batch_size)
    generator = torch.Generator().manual_seed(seed)
    areas = []
    for _ in range(orders):
        shuffled = torch.rand(len(images), images[0, 0].numel(), generator=generator).argsort(dim=1)
        areas.append(_area(walk.deletion(shuffled.to(images.device))))
    return np.mean(areas, axis=0)


def perturbation_quality(curves: PerturbationCurves, random: NDArray[np.float64]) -> MapQuality:
    """Return the areas beside those of random orders, for the rows of the interpretability file.

    See :func:`shared.saliency.interpretability_rows.measure_rows`.

    Args:
        curves: of B images.
        random: of :func:`random_areas`, ``(B,)``.
    """
    return {
        "deletion_auc": {"value": curves.deletion_auc, "chance": random},
        "insertion_auc": {"value": curves.insertion_auc, "chance": random},
    }


class _Walk:
    """Images on their way from untouched to bare baseline, in steps."""

    def __init__(
        self,
        predict: Predict,
        images: Tensor,
        targets: Tensor,
        steps: int,
        baseline: PerturbationBaseline,
        blur_sigma: float,
        batch_size: int,
    ) -> None:
        images = images.as_subclass(Tensor)
        if images.ndim != 4 or not len(images):
            raise ValueError(f"images must be a non-empty batch (B, C, H, W), found {tuple(images.shape)}")
        if targets.shape != (len(images),):
            raise ValueError(
                f"targets must be ({len(images)},), one class for each image, found {tuple(targets.shape)}"
            )
        self.pixels = images[0, 0].numel()
        if not 1 <= steps <= self.pixels or batch_size < 1:
            raise ValueError(
                f"steps must be from 1 to the image's {self.pixels} pixels and batch_size at least 1, found {steps} "
                f"and {batch_size}"
            )
        self.predict = predict
        self.images = images
        self.targets = targets.to(images.device)
        self.steps = steps
        self.batch_size = batch_size
        self.empty = _baseline(images, baseline, blur_sigma)
        self.full_value, self.empty_value = (self._ends(ends) for ends in (images, self.empty))

    def deletion(self, order: Tensor) -> NDArray[np.float64]:
        """Return the curves ``(B, steps + 1)`` of deleting pixels in an order ``(B, P)``."""
        curve = self._between(order, self.images, self.empty)
        return np.column_stack([self.full_value, curve, self.empty_value])

    def insertion(self, order: Tensor) -> NDArray[np.float64]:
        """Return the curves ``(B, steps + 1)`` of inserting pixels in an order ``(B, P)``."""
        curve = self._between(order, self.empty, self.images)
        return np.column_stack([self.empty_value, curve, self.full_value])

    def _between(self, order: Tensor, start: Tensor, end: Tensor) -> NDArray[np.float64]:
        """Return probabilities ``(B, steps − 1)`` on the way from one image to another, pixel by pixel in an order."""
        ranks = torch.empty_like(order)
        ranks.scatter_(1, order, torch.arange(self.pixels, device=order.device).expand_as(order))
        ranks = ranks.view(len(start), 1, *start.shape[2:])
        between = self.steps - 1
        places = torch.arange(len(start) * between, device=order.device)
        found = []
        for index in places.split(self.batch_size) if between else ():
            image, step = index // between, index % between + 1
            count = (step * self.pixels + self.steps // 2) // self.steps
            seen = torch.where(ranks[image] < count[:, None, None, None], end[image], start[image])
            found.append(self._probabilities(seen, self.targets[image]))
        return np.concatenate([np.empty(0), *found]).reshape(len(start), between)

    def _ends(self, images: Tensor) -> NDArray[np.float64]:
        batches = zip(images.split(self.batch_size), self.targets.split(self.batch_size), strict=True)
        return np.concatenate([self._probabilities(*batch) for batch in batches])

    def _probabilities(self, images: Tensor, targets: Tensor) -> NDArray[np.float64]:
        with torch.no_grad():
            return self.predict(images).gather(1, targets[:, None])[:, 0].double().cpu().numpy()


def _baseline(images: Tensor, baseline: PerturbationBaseline, blur_sigma: float) -> Tensor:
    """Return the baseline of each image ``(B, C, H, W)``."""
    if baseline != "blur":
        return baseline_images(images, baseline)
    if not blur_sigma > 0:
        raise ValueError(f"blur_sigma must be positive, found {blur_sigma}")
    blur = GaussianFilter(spatial_dims=2, sigma=blur_sigma).to(images)
    # what is beyond the border must not darken it
    return blur(images) / blur(torch.ones_like(images[:1, :1]))


def _area(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    return (curves[:, :-1] + curves[:, 1:]).mean(axis=1) / 2
