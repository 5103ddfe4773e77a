"""What gives cells their values, described for the reader: no methods of a config, but parts of the network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scripts.embedded_bags import TITLES
from scripts.networks import ImageClassifier, TwoExperts
from scripts.patient_values import PatientValuation, PatientValues
from shared.saliency.sanity.layers import untrained_network
from shared.saliency.transparency.description import describe_method
from shared.saliency.transparency.method_rules import METHOD_RULES, MethodRule

__all__ = ["RANDOM", "UNTRAINED", "ComparedValues", "describe_values", "few_cells"]

#: Controls beside the values.
RANDOM = "random_values"
UNTRAINED = "untrained_values"

SAMPLED = MethodRule(
    "Mean of what the cell adds to the logit of those before it, over orders of the cells that are drawn until the "
    "standard error is small; the attributes are held.",
    "Shapley 1953; Castro et al. 2009",
    "difference from the empty bag",
)


Item = Mapping[str, Any]


class ComparedValues:
    """The values of a patient's cells, and controls beside them that know nothing of the cells or of what was learnt.

    Args:
        valuation: values cells, by a network whose weights are loaded before the first call.
        seed: of the controls.
        untrained: the same valuation by a network with random weights; made at the first call if ``None``.
    """

    def __init__(self, valuation: PatientValuation, seed: int = 0, untrained: PatientValuation | None = None) -> None:
        self.valuation = valuation
        self.seed = seed
        self._untrained = untrained

    def names(self) -> list[str]:
        """Return the names of the values, the controls last."""
        return [*self.valuation.names(), RANDOM, UNTRAINED]

    def of(self, network: nn.Module) -> ComparedValues:
        """Return the same by another network; the controls stay what they are."""
        assert isinstance(network, ImageClassifier | TwoExperts)
        return ComparedValues(self.valuation.of(network), self.seed, self._untrained)

    def __call__(self, item: Item, patient: PatientValues | None = None) -> dict[str, NDArray[np.float64]]:
        """Return the values of a patient's cells ``(N,)`` by name.

        Args:
            item: ``image`` ``(N, 3, H, W)`` uint8 and ``attributes`` ``(2,)``.
            patient: the patient, if valued already.
        """
        if self._untrained is None:
            network = untrained_network(self.valuation.network, lambda other: few_cells(other, item), self.seed)
            assert isinstance(network, ImageClassifier | TwoExperts)
            self._untrained = self.valuation.of(network)
        columns = (self.valuation(item) if patient is None else patient).columns()
        content = torch.as_tensor(item["image"]).contiguous().numpy().tobytes()
        digest = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
        return {
            **{name: columns[name] for name in self.valuation.names()},
            RANDOM: np.random.default_rng([self.seed, digest]).standard_normal(len(item["image"])),
            UNTRAINED: self._untrained(item).whole.values.cpu().numpy(),
        }


def few_cells(network: nn.Module, item: Item) -> torch.Tensor:
    """Return the logits ``(1, 1)`` of a patient with two cells: enough to see how a network is wired."""
    device = next(network.parameters()).device
    image, attributes = (torch.as_tensor(item[key]).to(device) for key in ("image", "attributes"))
    few = image[:2]
    return network(few, torch.tensor([len(few)], device=device), attributes[None])


def describe_values(
    valuation: PatientValuation, satisfies: Mapping[str, Sequence[str]], failed: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Return the descriptions of all values of cells and of their controls, by name.

    Args:
        valuation: values the cells.
        satisfies: by name, what the values satisfy, in sentences.
        failed: by name, the sanity checks that they failed, in sentences.
    """
    described: dict[str, dict[str, Any]] = {}
    for name in valuation.names():
        part = name.removeprefix("shapley_")
        rule, title = METHOD_RULES["AttentionWeights"], "Attention weights"
        if part in TITLES:
            rule = SAMPLED if part == "mixture" else METHOD_RULES["ExactShapley"]
            title = f"Shapley values, {TITLES[part]}"
        parameters = {"explains": TITLES.get(part, TITLES["image"]), **(valuation.sampling if rule is SAMPLED else {})}
        entry = describe_method(
            name, rule=rule, parameters=parameters, satisfies=satisfies.get(name, ()), failed=failed.get(name, ())
        )
        described[name] = entry | {"title": title}
    for name, key, title in (
        (RANDOM, "RandomValues", "Random values (control)"),
        (UNTRAINED, "UntrainedValues", "Shapley values, untrained network (control)"),
    ):
        described[name] = describe_method(name, rule=METHOD_RULES[key]) | {"title": title}
    return described
