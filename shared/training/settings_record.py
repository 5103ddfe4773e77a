"""The settings that a network was built with, kept among its weights, so that no others can load them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from shared.data.errors import DataError

__all__ = ["SettingsRecord"]


class SettingsRecord(nn.Module):
    """Settings as a buffer; weights that were trained with others are refused.

    Pooling operators without weights, and whether the logarithm of a count is taken, show in no weight's shape: another
    network would load them without an error, and give wrong diagnoses.

    Args:
        settings: by the names of the config's keys; whatever JSON holds.
        unstated: of settings that weights of before they existed do not state, what those were trained with.
    """

    def __init__(self, settings: Mapping[str, Any], unstated: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._unstated = dict(unstated or {})
        self.settings: torch.Tensor  # JSON, a byte to an element: a state dict holds tensors only
        text = json.dumps(settings, sort_keys=True).encode()
        self.register_buffer("settings", torch.tensor(list(text), dtype=torch.uint8))

    @torch.jit.unused
    def read(self) -> dict[str, Any]:
        """Return the settings."""
        return _read(self.settings)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *_: Any, **__: Any) -> None:
        """Compare the settings of weights that are being loaded with those of this network.

        Raises:
            DataError: if they differ, or there are none; it names each key, what was found and what was expected.
        """
        if f"{prefix}settings" not in state_dict:
            raise DataError(
                f"the weights hold no {prefix}settings, expected the settings that they were trained with; they are of "
                "a version that did not keep them: train anew"
            )
        expected, found = self.read(), self._unstated | _read(state_dict[f"{prefix}settings"])
        different = [
            f"{key} is {found.get(key)!r} in the weights, expected {expected.get(key)!r}"
            for key in sorted({*found, *expected})
            if found.get(key) != expected.get(key)
        ]
        if different:
            raise DataError(f"{'; '.join(different)}; give the settings that they were trained with, or train anew")


def _read(settings: torch.Tensor) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(bytes(settings.tolist()))
    return content
