"""Everything that alarms are made of, from one pass over a data set: logits, distances between maps, repeated draws."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from torch import nn

from scripts.alarms.distinctiveness import cosine_distances
from scripts.alarms.doubt_table import DISTANCES, Doubts
from scripts.losses import label_matrix
from shared.calibration.output_collector import CollectedOutputs
from shared.saliency.base import Attribution

__all__ = ["DoubtInferer", "Draws", "as_arrays", "collected_doubts"]


class Draws(Protocol):
    """Repeated logits of images under some randomness."""

    def __call__(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the standard deviation of the logits over the draws, ``(B, K)``."""


class DoubtInferer(Inferer):
    """Give the logits of each image, the distances between its findings' maps, and the spread of repeated draws.

    Of each saliency method all findings' maps come from one forward pass; the first method's pass gives the logits too,
    which are the network's own. Maps are compared and forgotten batch by batch: what is kept are K × K numbers.

    Args:
        methods: saliency methods on the network, by name.
        draws: repeated logits by the name of what is kept of them: ``tta_std``, ``mc_std``.
        needed: gives the names of the methods and draws that are computed, when the first batch comes; ``None``
            computes all.

    Raises:
        ValueError: if there is no saliency method, or ``needed`` names something else.
    """

    def __init__(
        self,
        methods: Mapping[str, Attribution],
        draws: Mapping[str, Draws] | None = None,
        needed: Callable[[], Collection[str]] | None = None,
    ) -> None:
        if not methods:
            raise ValueError("name at least one saliency method")
        self.methods = dict(methods)
        self.draws = dict(draws or {})
        self.needed = needed

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Return ``logits`` ``(B, K)``, ``distances_<method>`` ``(B, K, K)``, and each of the draws ``(B, K)``.

        Args:
            inputs: images ``(B, 1, H, W)``.
            network: the network that the methods explain.
            args: none; there because MONAI's evaluators may pass further inputs.
            kwargs: none.

        Raises:
            TypeError: if there are further inputs.
        """
        if args or kwargs:
            raise TypeError(f"doubts are collected of images only, found {len(args)} further inputs and {[*kwargs]}")
        images = convert_to_tensor(inputs, track_meta=False)
        methods, draws = self._chosen()
        outputs: dict[str, torch.Tensor] = {}
        for name, method in methods.items():
            logits, maps = method.attribute_classes(images)
            outputs.setdefault("logits", logits)
            outputs[DISTANCES + name] = cosine_distances(maps)
        if "logits" not in outputs:
            with torch.no_grad():
                outputs["logits"] = network(images)
        return outputs | {name: draw(network, images) for name, draw in draws.items()}

    def _chosen(self) -> tuple[dict[str, Attribution], dict[str, Draws]]:
        if self.needed is None:
            return self.methods, self.draws
        names = set(self.needed())
        if unknown := names - {*self.methods, *self.draws}:
            raise ValueError(
                f"{', '.join(sorted(unknown))} is needed, but only {', '.join((*self.methods, *self.draws))} can be "
                "computed; name the method under saliency_methods"
            )
        chosen = {name: method for name, method in self.methods.items() if name in names}
        return chosen, {name: draw for name, draw in self.draws.items() if name in names}


def collected_doubts(collected: CollectedOutputs, classes: Sequence[str]) -> Doubts:
    """Put what :class:`DoubtInferer` gave of each record into the table that alarms are fitted on and measured by.

    Args:
        collected: records and outputs. A record without ``label`` has unknown labels, one without ``patient`` is a
            patient of its own.
        classes: names of the findings.
    """
    records, outputs = collected
    unknown = [None] * len(classes)
    labels = label_matrix([{"label": unknown, **record} for record in records], classes)
    return Doubts(
        id=np.array([str(record["id"]) for record in records], dtype=np.str_),
        patient=np.array([str(record.get("patient", record["id"])) for record in records], dtype=np.str_),
        logits=outputs["logits"],
        label=labels,
        distances={
            name.removeprefix(DISTANCES): values for name, values in outputs.items() if name.startswith(DISTANCES)
        },
        tta_std=outputs.get("tta_std"),
        mc_std=outputs.get("mc_std"),
        classes=tuple(classes),
    )


def as_arrays(outputs: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return the outputs of a batch in float64, for :class:`shared.calibration.output_collector.OutputCollector`."""
    return {name: values.detach().double().cpu().numpy() for name, values in outputs.items()}
