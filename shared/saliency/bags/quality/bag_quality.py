"""The quality of several explanations of the same bag, beside the random control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from shared.saliency.bags.bag_model import BagModel, full_precision, plain_features
from shared.saliency.bags.pooled_bag import PooledBag
from shared.saliency.bags.quality.instance_truth import instance_truth
from shared.saliency.bags.quality.perturbation import OrderedBag, descending_orders, perturb

__all__ = ["CONTROL", "BagQuality", "bag_quality", "ordered_bag_quality", "peak_of_bag"]

CONTROL = "random"
RANDOM_ORDERS = 10


@dataclass(frozen=True)
class BagQuality:
    """The quality of M methods on one bag.

    Attributes:
        methods: their names; the last is :data:`CONTROL`.
        values: ``{measure: (M,)}``, NaN where a measure does not apply.
        chance: ``{measure: float}``, what random values are expected to have; by the mean of the random orders where
            there is no closed form, so that :data:`CONTROL` has just this.
        drop: perturbation curves, ``(M, 101)``; see :class:`~shared.saliency.bags.quality.perturbation.Perturbation`.
        add: as ``drop``.
    """

    methods: tuple[str, ...]
    values: dict[str, NDArray[np.float64]]
    chance: dict[str, float]
    drop: NDArray[np.float64]
    add: NDArray[np.float64]


def bag_quality(
    network: nn.Module,
    features: Tensor,
    explanations: Mapping[str, Tensor],
    positive: ArrayLike | None = None,
    *,
    target: int = 0,
    seed: int = 0,
) -> BagQuality:
    """Measure explanations of one bag.

    - ``aupc_drop``, ``aupc_add``: see :func:`~shared.saliency.bags.quality.perturbation.perturb`;
    - ``aopc_r``: AOPC minus the mean AOPC of ten random orders (Early, Evers and Ramchurn 2022), the same for all;
    - ``instance_auc``, ``instance_ndcg``, ``instance_ap``: see
      :func:`~shared.saliency.bags.quality.instance_truth.instance_truth`;
    - ``peak``: by how much one instance stands out of its bag, see :func:`peak_of_bag`. Compared between negative and
      positive bags it says whether a method is quiet where there is nothing to find.

    Args:
        network: the bag classifier that was explained; see :class:`~shared.saliency.bags.bag_model.BagModel`.
        features: of the bag's instances, ``(N, …)``.
        explanations: values of the instances by method, ``(N,)`` each.
        positive: whether each instance is positive, ``(N,)``; ``None`` if not known.
        target: index of the logit that was explained.
        seed: of the random orders, and of the order among equal values.

    Raises:
        ValueError: if there is no method, values are not finite or not one for each instance, or a method has the
            control's name.
        TypeError: if the model's pooling has no algebra of subsets, see
            :class:`~shared.saliency.bags.pooled_bag.PooledBag`.
    """
    _stacked(explanations, len(features))  # refused before anything is computed
    with full_precision(features):
        plain = plain_features(features)
        model = BagModel(network, target)
        model.check(plain)
        bag = PooledBag(model, plain, "probability")
        return ordered_bag_quality(bag, explanations, positive, device=plain.device, seed=seed)


def ordered_bag_quality(
    bag: OrderedBag,
    explanations: Mapping[str, Tensor],
    positive: ArrayLike | None = None,
    *,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> BagQuality:
    """Measure explanations of a bag of any kind, see :func:`bag_quality`.

    Args:
        bag: gives the probability that is explained, for any of its instances.
        explanations: values of the instances by method, ``(N,)`` each.
        positive: whether each instance is positive, ``(N,)``; ``None`` if not known.
        device: of the orders that the bag is asked for.
        seed: of the random orders, and of the order among equal values.

    Raises:
        ValueError: see there.
    """
    values = _stacked(explanations, bag.size)
    generator = torch.Generator().manual_seed(seed)
    control = torch.rand(RANDOM_ORDERS, bag.size, generator=generator, dtype=torch.float64)
    curves = perturb(bag, descending_orders(torch.cat([values, control]), seed).to(device))
    rows = {
        "aupc_drop": _with_control(curves.aupc_drop),
        "aupc_add": _with_control(curves.aupc_add),
        "aopc_r": _with_control(curves.aopc) - float(curves.aopc[-RANDOM_ORDERS:].mean()),
    }
    chance = {name: float(row[-1]) for name, row in rows.items()}
    truth = np.zeros(bag.size, dtype=bool) if positive is None else np.asarray(positive, dtype=bool)
    for name, part in instance_truth(values.numpy(), truth).items():
        chance[name] = float(part["chance"][0])
        rows[name] = np.append(part["value"], chance[name])
    rows["peak"] = np.append(peak_of_bag(values).numpy(), np.nan)
    chance["peak"] = float("nan")
    return BagQuality((*explanations, CONTROL), rows, chance, _with_control(curves.drop), _with_control(curves.add))


def peak_of_bag(values: Tensor) -> Tensor:
    """Return by how much one instance stands out of its bag, ``(M,)``, of values of M methods ``(M, N)``.

    ``peak = max_i |v_i| / (1/N Σ_i |v_i|)``, from 1 (all instances are equal in magnitude) to N (all but one are 0). It
    has no unit, and does not depend on how large the bag is: a bag with each of its instances k times has the same.
    Of weights that add up to one it is ``N max_i w_i``, while their maximum alone is the lower the larger the bag.
    Where all values are 0, nothing stands out: 1.

    Example:
        >>> peak_of_bag(torch.tensor([[0.2, 0.2, 0.2, 0.2], [0.0, -0.25, 0.0, 0.75], [0.0, 0.0, 0.0, 0.0]])).tolist()
        [1.0, 3.0, 1.0]
    """
    magnitudes = values.abs().double()
    scale = magnitudes.mean(dim=1)
    return torch.where(scale > 0, magnitudes.amax(dim=1) / scale.clamp_min(torch.finfo(torch.float64).tiny), 1.0)


def _with_control(measured: Tensor) -> NDArray[np.float64]:
    """Return what was measured of the methods, and the mean of the random orders in one last row."""
    methods, control = measured[:-RANDOM_ORDERS], measured[-RANDOM_ORDERS:]
    return torch.cat([methods, control.mean(dim=0, keepdim=True)]).cpu().numpy()


def _stacked(explanations: Mapping[str, Tensor], instances: int) -> Tensor:
    if not explanations or CONTROL in explanations:
        raise ValueError(
            f"quality needs at least one method, and none called '{CONTROL}', which is the control; found "
            f"{list(explanations)}"
        )
    for name, values in explanations.items():
        if values.shape != (instances,) or not bool(values.isfinite().all()):
            raise ValueError(
                f"{name}: expected finite values of {instances} instances, found shape {tuple(values.shape)}"
                f"{'' if bool(values.isfinite().all()) else ' with NaN or infinity'}"
            )
    return torch.stack([values.detach().cpu().double() for values in explanations.values()])
