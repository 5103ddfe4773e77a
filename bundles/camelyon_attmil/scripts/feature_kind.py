"""Which features a network was trained on, kept among its weights, so that it never judges those of another encoder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from scripts.feature_file import FeatureAttributes, check_same_encoder
from shared.data.errors import DataError

__all__ = ["FeatureKind"]

#: of :class:`~scripts.feature_file.FeatureAttributes`, what must be the same in all slides
KNOWN_BY = ("encoder", "encoder_sha256", "tile_size", "mpp")


class FeatureKind(nn.Module):
    """Encoder, hash of its weights, tile size, scale and number of the features of the training slides, as a buffer.

    What a file does not say (CLAM's name no encoder) is not compared.

    Args:
        features: number of features E that the network takes; None for a network of images, which compares nothing.
    """

    def __init__(self, features: int | None = None) -> None:
        super().__init__()
        self.features = features
        self.record: torch.Tensor  # JSON, a byte to an element: a state dict holds tensors only
        self.register_buffer("record", _bytes({}))

    @torch.jit.unused
    def set(self, attributes: FeatureAttributes) -> FeatureKind:
        """Record of what kind the training slides' features are; returns the same module."""
        stated = asdict(attributes)
        self.record = _bytes({name: stated[name] for name in KNOWN_BY}).to(self.record.device)
        return self

    @torch.jit.unused
    def read(self) -> dict[str, Any]:
        """Return what is recorded; nothing before training."""
        content: dict[str, Any] = json.loads(bytes(self.record.tolist()))
        return content

    @torch.jit.unused
    def check(self, path: str | os.PathLike[str], attributes: FeatureAttributes, features: int) -> None:
        """Refuse features that the network was not trained on.

        Args:
            path: their file.
            attributes: what the file says about itself.
            features: their number E.

        Raises:
            DataError: naming the file, what differs, and what to do.
        """
        if self.features is None:
            return
        if features != self.features:
            raise DataError(
                f"{path}: {features} features per tile, the network takes {self.features}; give every command "
                f"--in_features {features} if the network is to be trained on them, or extract the slide with the "
                "encoder that it was trained on"
            )
        if known := self.read():
            trained = FeatureAttributes(slide_id="", **known)
            check_same_encoder(
                [("those that the network was trained on", trained, features), (path, attributes, features)]
            )

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take the record of the weights, whatever its length."""
        found = state_dict.get(f"{prefix}record")
        if found is not None:
            self.record = torch.empty_like(found, device=self.record.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _bytes(content: Mapping[str, Any]) -> torch.Tensor:
    return torch.tensor(list(json.dumps(content, sort_keys=True).encode()), dtype=torch.uint8)
