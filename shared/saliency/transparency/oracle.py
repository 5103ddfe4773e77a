"""How far a method's attributions are from the same computed in another way."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.saliency.bags.bag_model import BagModel, full_precision, plain_features
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.leave_one_out import LeaveOneOut
from shared.saliency.bags.lrp.lrp import BagLRP
from shared.saliency.bags.subset_shapley import SubsetShapley
from shared.saliency.base import Attribution
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.lrp.lrp import LRP
from shared.saliency.sanity.explained import Explained, ExplainedBags, ExplainedImages
from shared.saliency.transparency.description import rule_of

__all__ = ["OracleError", "oracle_errors"]

SMALL_EPSILON = 1e-9
INSTANCES = 8

NO_ORACLE = (
    "the package computes this rule in one way only; its tests compare it with slow loops from the paper's equations"
)
CONTROL = "a control has no rule to be computed in another way"


class OracleError(NamedTuple):
    """Relative difference of two computations.

    Attributes:
        values: ``|a_b − o_b| / |o_b|`` of each sample, Euclidean, ``(B,)``; NaN where the oracle is 0 everywhere.
        oracle: what was compared with, in words.
    """

    values: NDArray[np.float64]
    oracle: str


def oracle_errors(explained: Explained, samples: int = 2, seed: int = 0) -> dict[str, OracleError | str]:
    """Compare methods with an independent computation, where the package has one.

    - LRP-ε: with ε near 0 the relevance that the rule propagates is input × gradient, which autograd computes. Compared
      in float64, on a copy of the network; the settings of the method itself have no such twin.
    - Shapley values by random subsets: the exact values. Here the difference is the error of sampling.
    - Leave-one-out: calls of the model without the instance, of some instances of each bag.

    Args:
        explained: samples, methods and network.
        samples: number of samples, the first ones.
        seed: of the choice of instances.

    Returns:
        By method the error, or why there is none.
    """
    if isinstance(explained, ExplainedImages):
        images, targets = explained.images[:samples].double(), explained.targets[:samples]
        return {name: _of_images(method, images, targets) for name, method in explained.methods.items()}
    if isinstance(explained, ExplainedBags):
        sizes: list[int] = explained.lengths.tolist()
        bags = explained.features.split(sizes)[:samples]
        return {name: _of_bags(method, bags, seed) for name, method in explained.methods.items()}
    raise TypeError(f"expected ExplainedImages or ExplainedBags, found {type(explained).__name__}")


def _of_images(method: Attribution, images: Tensor, targets: Tensor) -> OracleError | str:
    if _is_control(method):
        return CONTROL
    if not isinstance(method, LRP) or method.rule != "epsilon":
        return NO_ORACLE
    network = copy.deepcopy(method.network).double()
    found = LRP(network, epsilon=SMALL_EPSILON).attribute(images, targets)
    expected = InputXGradient(network).attribute(images, targets)
    values = [_relative(*pair) for pair in zip(found, expected, strict=True)]
    return OracleError(np.array(values), f"input × gradient, with ε = {SMALL_EPSILON:g} in float64")  # noqa: RUF001


def _of_bags(method: BagAttribution, bags: tuple[Tensor, ...], seed: int) -> OracleError | str:
    if _is_control(method):
        return CONTROL
    if type(method) is BagLRP and method.gamma == 0 and method.attention == "propagated":
        small = BagLRP(method.model, method.target, epsilon=SMALL_EPSILON)
        expected = GradientXInput(method.model, method.target)
        values = [_relative(small.attribute(bag), expected.attribute(bag)) for bag in bags]
        return OracleError(np.array(values), f"gradient × input, with ε = {SMALL_EPSILON:g}")  # noqa: RUF001
    if isinstance(method, SubsetShapley):
        exact = ExactShapley(method.model, method.target)
        try:
            values = [_relative(method.attribute(bag), exact.attribute(bag)) for bag in bags]
        except TypeError as error:
            return f"exact values are not known: {error}"
        return OracleError(np.array(values), "exact Shapley values")
    if isinstance(method, LeaveOneOut):
        return OracleError(np.array([_of_left_out(method, bag, seed) for bag in bags]), "calls of the model")
    return NO_ORACLE


def _of_left_out(method: LeaveOneOut, bag: Tensor, seed: int) -> float:
    """Return the relative difference from calls of the model without some of the instances."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(bag), generator=generator)[:INSTANCES].tolist()
    with full_precision(bag), torch.no_grad():
        model = BagModel(method.model, method.target)
        embeddings = model.encode(plain_features(bag))
        parts = [torch.cat([embeddings[:place], embeddings[place + 1 :]]) for place in chosen]
        logits = torch.stack([_logit(model, part) for part in [embeddings, *parts]])
    return _relative(method.attribute(bag)[chosen], logits[0] - logits[1:])


def _logit(model: BagModel, embeddings: Tensor) -> Tensor:
    if len(embeddings) == 0:
        return model.empty_logits()[model.target]
    return model.level(embeddings, torch.tensor([len(embeddings)], device=embeddings.device))[0, model.target]


def _relative(found: Tensor, expected: Tensor) -> float:
    size = float(expected.double().norm())
    return float((found.double() - expected.double()).norm()) / size if size > 0 else float("nan")


def _is_control(method: object) -> bool:
    rule = rule_of(method)
    return rule is not None and rule.control
