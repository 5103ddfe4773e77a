"""Which weights are trained how fast: the encoder's thousands and the perceptron's nine are no matter of one rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from scripts.experts import AttributePerceptron

__all__ = ["parameter_groups"]


def parameter_groups(
    network: nn.Module,
    learning_rate: float,
    attribute_learning_rate: float,
    weight_decay: float = 0.0,
    attribute_weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Return the parameter groups of an optimiser, those that are trained only.

    Args:
        network: one of :mod:`scripts.networks`.
        learning_rate: of the encoder, pooling and classifier of the images, and of the gate.
        attribute_learning_rate: of the perceptron on attributes, which has nine weights and few steps.
        weight_decay: of the first group.
        attribute_weight_decay: of the perceptron.

    Returns:
        One or two groups; a group without parameters is left out.

    Raises:
        ValueError: if there is nothing to train.
    """
    perceptron = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, AttributePerceptron)
        for parameter in module.parameters()
    }
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in trained if id(parameter) not in perceptron],
            "lr": learning_rate,
            "weight_decay": weight_decay,
        },
        {
            "params": [parameter for parameter in trained if id(parameter) in perceptron],
            "lr": attribute_learning_rate,
            "weight_decay": attribute_weight_decay,
        },
    ]
    if not trained:
        raise ValueError("the network has no parameter to train")
    return [group for group in groups if group["params"]]
