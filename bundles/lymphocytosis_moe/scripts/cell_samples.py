"""Single cells on which maps are measured, with what is known of their pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.cell_truth import cells_with_cause, region_mask
from scripts.one_cell import OneCell
from shared.saliency.image_samples import ImageSamples

__all__ = ["CellSamples", "TuningCells"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class CellSamples:
    """Draws cells of patients: where that is known, such as may show the cause of the explained class.

    Args:
        one_cell: what is explained.
        classes: class names in the order of the labels.
        cells: number of cells in all, of each patient as many as of the others.
        truth_bit: bit of the truth images that marks the cause of a cell's class.
        cell_bit: bit that marks the cell; outside of it is background.
        seed: of the draws.
    """

    one_cell: OneCell
    classes: Sequence[str]
    cells: int = 96
    truth_bit: int = 8
    cell_bit: int = 1
    seed: int = 0

    def __call__(
        self,
        records: Sequence[Record],
        dataset: Sequence[Mapping[str, Any]],
        places: Sequence[int],
        targets: Sequence[int],
    ) -> ImageSamples | None:
        """Return cells, as the encoder sees them.

        Args:
            records: with ``truth`` and ``instance_label`` where known.
            dataset: items with ``image`` ``(N, 3, H, W)``.
            places: of the patients to draw from, in records and data set.
            targets: class that is explained of each of these patients.

        Returns:
            The samples; ``None`` if there are no cells to draw.
        """
        rng = np.random.default_rng(self.seed)
        device = next(self.one_cell.parameters()).device
        parts: list[torch.Tensor] = []
        explained: list[int] = []
        groups: list[int] = []
        names: list[str] = []
        masks: list[dict[str, NDArray[np.bool_]]] = []
        for number in rng.permutation(len(places)).tolist():
            if len(explained) >= self.cells:
                break
            place, target = places[number], targets[number]
            images = torch.as_tensor(dataset[place]["image"])
            share = min(-(-self.cells // len(places)), self.cells - len(explained))
            chosen = self._choose(records[place], target, len(images), rng)[:share]
            if not len(chosen):
                continue
            parts.append(self.one_cell.centred(images[torch.from_numpy(chosen)].to(device)).detach())
            explained += [target] * len(chosen)
            groups += [place] * len(chosen)
            names += [f"{records[place]['id']}, cell {cell}: {self.classes[target]}" for cell in chosen]
            masks += [self._masks(records[place], int(cell), images.shape[2:]) for cell in chosen]
        if not explained:
            return None
        known = {name: np.stack([of_cell[name] for of_cell in masks]) for name in masks[0]} if all(masks) else {}
        return ImageSamples(
            images=torch.cat(parts),
            targets=torch.tensor(explained),
            labels=[self.classes[target] for target in explained],
            groups=np.array(groups),
            names=names,
            resampled=None,
            **known,
        )

    def _choose(self, record: Record, target: int, cells: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return the cells of a patient that may be drawn, in random order: if that is known, those with a cause."""
        if "truth" not in record:
            return rng.permutation(cells)
        candidates = rng.permutation(cells_with_cause(record, target))
        with_cause = [
            cell for cell in candidates.tolist() if region_mask(record["truth"][cell], self.truth_bit, None).any()
        ]
        return np.array(with_cause, dtype=np.intp)

    def _masks(self, record: Record, cell: int, shape: Sequence[int]) -> dict[str, NDArray[np.bool_]]:
        if "truth" not in record:
            return {}
        path = record["truth"][cell]
        return {
            "cause": region_mask(path, self.truth_bit, shape),
            "background": ~region_mask(path, self.cell_bit, shape),
        }


@dataclass(frozen=True)
class TuningCells:
    """Cells of validation patients, on which the threshold of the IoU is chosen.

    Args:
        samples: draws them.
        records: of the validation patients; those without truth are left out.
        dataset: the patients.
    """

    samples: CellSamples
    records: Sequence[Record]
    dataset: Sequence[Mapping[str, Any]]

    def __call__(self) -> ImageSamples | None:
        """Return the cells, explained for the class of their patient; ``None`` if none has a known cause."""
        known = [place for place, record in enumerate(self.records) if "truth" in record and "label" in record]
        return self.samples(self.records, self.dataset, known, [int(self.records[place]["label"]) for place in known])
