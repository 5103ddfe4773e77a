"""What gives cells their values, described for the reader: no methods of a config, but parts of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.embedded_bags import TITLES
from scripts.patient_values import PatientValuation
from shared.saliency.transparency.description import describe_method
from shared.saliency.transparency.method_rules import METHOD_RULES, MethodRule

__all__ = ["RANDOM", "UNTRAINED", "describe_values"]

#: Controls beside the values.
RANDOM = "random_values"
UNTRAINED = "untrained_values"

SAMPLED = MethodRule(
    "Mean of what the cell adds to the logit of those before it, over orders of the cells that are drawn until the "
    "standard error is small; the attributes are held.",
    "Shapley 1953; Castro et al. 2009",
    "difference from the empty bag",
)


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
