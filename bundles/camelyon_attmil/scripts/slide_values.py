"""The values of a slide's tiles by every method that can explain the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.standardised_input import StandardisedInput
from shared.data.errors import DataError
from shared.saliency.bags.base import BagAttribution
from shared.saliency.titles import method_title

__all__ = ["SlideValues"]


class SlideValues:
    """Explains bags of tiles.

    A method that has no formula for the network (Shapley values of an operator that nobody solved, attention where
    there is none) refuses the first slide. It is left out from then on, and the index says why.

    Args:
        network: that is explained, behind its standardisation; its weights are loaded before the first slide.
        methods: of ``network``, by the names of their files.

    Attributes:
        refused: why a method cannot explain the network, by method.
    """

    def __init__(self, network: StandardisedInput, methods: Mapping[str, BagAttribution]) -> None:
        if not methods:
            raise DataError("explain#methods: found none, expected at least one method")
        self.network = network
        self.methods = dict(methods)
        self.refused: dict[str, str] = {}
        self._tried = False

    def __call__(self, features: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Return the values of the tiles ``(N,)`` by method, for the log-odds of tumour.

        Args:
            features: ``(N, E)``.

        Raises:
            DataError: if no method can explain the network, or a method fails on this slide only.
        """
        bag = self.bag(features)
        values: dict[str, NDArray[np.float64]] = {}
        for name, method in self.methods.items():
            if name in self.refused:
                continue
            try:
                rows = method.attribute(bag).cpu().numpy()
            except (TypeError, ValueError) as error:
                if self._tried:
                    raise DataError(f"{method_title(name)} cannot explain this slide: {error}") from error
                self.refused[name] = str(error)
                continue
            if not np.isfinite(rows).all():
                raise DataError(f"{method_title(name)} gives values that are not finite; look at the network's weights")
            values[name] = rows
        if not values:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.refused.items())
            raise DataError(f"explain#methods: none of them can explain this network ({reasons}); name another")
        self._tried = True
        return values

    def bag(self, features: NDArray[np.floating]) -> torch.Tensor:
        """Return the features as the explained network takes them, on its device."""
        device = next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))
        return self.network.standardised(torch.from_numpy(features.astype(np.float32)).to(device))

    @torch.no_grad()
    def logit(self, features: NDArray[np.floating]) -> float:
        """Return the log-odds of tumour of the slide."""
        bag = self.bag(features)
        return float(self.network.eval()(bag, torch.tensor([len(bag)], device=bag.device))[0, 0])

    def parameters(self, name: str) -> dict[str, Any]:
        """Return a method's class and those of its settings that JSON can hold."""
        method = self.methods[name]
        plain = (bool, int, float, str, type(None))
        settings = {
            key: value for key, value in vars(method).items() if not key.startswith("_") and isinstance(value, plain)
        }
        return {"class": f"{type(method).__module__}.{type(method).__qualname__}", **settings}
