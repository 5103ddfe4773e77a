"""What a trained network says of images, and all that alarms doubt it by: as ``doubts`` of train.json says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from scripts.alarms.doubt_table import DISTANCES, Doubts
from scripts.doubt_collector import as_arrays, collected_doubts
from scripts.findings import FINDINGS
from scripts.study.settings import BUNDLE_ROOT
from shared.calibration.output_collector import CollectedOutputs
from shared.study.training import check_keys, read_train_config
from shared.training.weights import load_weights

__all__ = ["Examiner", "arrays_of", "doubts_from"]

FIELDS = ("id", "patient", "logits", "label", "tta_std", "mc_std")


class Examiner:
    """A trained network with everything that ``train.json`` collects doubts by.

    Args:
        weights: file of the network's weights.
        overrides: keys of ``train.json`` that the network was trained with.
        doubts: keys under ``doubts`` in place of those of ``train.json``.

    Attributes:
        methods: saliency methods by name.

    Raises:
        DataError: if ``train.json`` has no such key, or the weights do not fit.
    """

    def __init__(self, weights: Path, overrides: Mapping[str, Any], doubts: Mapping[str, Any]) -> None:
        config = read_train_config(BUNDLE_ROOT)
        # a memory layout is for training; the maps need none
        changed = {key: value for key, value in overrides.items() if key != "network"}
        changed |= {f"doubts#{key}": value for key, value in doubts.items()}
        check_keys(config, changed)
        parser = ConfigParser(config)
        parser["bundle_root"] = str(BUNDLE_ROOT)
        for key, value in changed.items():
            parser[key] = value
        self.network: torch.nn.Module = load_weights(parser.get_parsed_content("network"), weights)
        self.device: torch.device = parser.get_parsed_content("device")
        self.batch_size = int(parser.get_parsed_content("evaluation_batch_size"))
        self.methods = dict(parser.get_parsed_content("doubts#methods"))
        self._read = parser.get_parsed_content("preprocessing")
        self._inferer = parser.get_parsed_content("doubts#inferer")

    def images(self, records: Sequence[Mapping[str, Any]]) -> torch.Tensor:
        """Return the network's input ``(N, 1, S, S)``."""
        return torch.stack([self._read(record)["image"] for record in records]).to(self.device)

    def doubts(self, records: Sequence[Mapping[str, Any]]) -> Doubts:
        """Return the doubts of images."""
        parts = [as_arrays(self._inferer(self.images(batch), self.network)) for batch in self.batches(records)]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return collected_doubts(CollectedOutputs([dict(record) for record in records], outputs), FINDINGS)

    def batches(self, records: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
        """Return the records in batches."""
        return [records[start : start + self.batch_size] for start in range(0, len(records), self.batch_size)]


def arrays_of(table: Doubts, prefix: str) -> dict[str, NDArray[Any]]:
    """Return a table as arrays whose names begin with a prefix, for a run's result."""
    named = {name: getattr(table, name) for name in FIELDS if getattr(table, name) is not None}
    named |= {DISTANCES + name: values for name, values in table.distances.items()}
    return {f"{prefix}_{name}": np.asarray(values) for name, values in named.items()}


def doubts_from(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Doubts:
    """Return the table that :func:`arrays_of` took apart."""
    begin = f"{prefix}_"
    own = {name.removeprefix(begin): values for name, values in arrays.items() if name.startswith(begin)}
    distances = {name.removeprefix(DISTANCES): own[name] for name in own if name.startswith(DISTANCES)}
    return Doubts(distances=distances, classes=FINDINGS, **{name: own[name] for name in FIELDS if name in own})
