"""Which of this bundle's networks weights belong to: those of another are refused, and its settings are compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import nn

from shared.data.errors import DataError
from shared.training.settings_record import SettingsRecord

__all__ = ["SettingsRecord", "refuse_another_network"]


def refuse_another_network(network: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Refuse the weights of another kind of network; a hook that is called before weights are loaded.

    Raises:
        DataError: naming the kind that was found and the one expected.
    """
    keys = [key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)]
    found, expected = _kind(keys), type(network).__name__
    if found != expected:
        raise DataError(
            f"network_name is {found or 'not known'} in the weights, expected {expected}; give the settings that they "
            "were trained with, or train anew"
        )


def _kind(keys: Collection[str]) -> str | None:
    """Return the name of the network that a state dict is of, as far as its keys tell."""
    if "gate_kernel.weight" in keys:
        return "MixtureOfExperts"
    if any(key.startswith("image_expert.") for key in keys):
        return "AveragedClassifier"
    if any(key.startswith("encoder.") for key in keys):
        return "ImageClassifier"
    return "AttributePerceptron" if "hidden.weight" in keys else None
