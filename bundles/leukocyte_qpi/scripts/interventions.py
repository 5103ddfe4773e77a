"""Phantom cells drawn again with the cause of their class alone altered: its refractive index, or its size.

The cause is the nucleus, or in eosinophils the granules (:data:`scripts.phantom_cells.CAUSE`). Everything else of a
cell stays as it was drawn, and so do background and noise: beyond the reach of the microscope's blur around the cause,
the images are equal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.phantom import draw_crops
from scripts.phantom_cells import CAUSE, TRUTH, Cell
from scripts.phantom_parameters import PhantomParameters
from scripts.preprocessing import normalise_phase
from shared.data.datalist import find_datalist, read_datalist
from shared.data.generated import generated_parameters
from shared.saliency.altered_images import AlteredImages

__all__ = ["INDEX", "SIZE", "Interventions", "alter_cause", "phantom_parameters"]

INDEX = "refractive index of the nucleus or granules"
SIZE = "size of the nucleus or granules"


def alter_cause(cell: Cell, of: str, strength: float) -> Cell:
    """Return a cell with one property of its cause multiplied.

    Args:
        cell: any leukocyte.
        of: :data:`INDEX`, the difference in refractive index to the cytoplasm, to which dry mass is proportional; or
            :data:`SIZE`: a nucleus shrinks towards its middle, granules where they are.
        strength: factor in [0, 1]; 1 leaves the cell as it is.

    Raises:
        ValueError: if the property is unknown, or the strength is beyond what leaves everything else as it is.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strengths must lie between 0 and 1, found {strength:g}")
    cause = CAUSE[cell.kind]
    if of == INDEX:
        name = {"nucleus": "nucleus_index", "granules": "granule_index"}[cause]
        return replace(cell, **{name: strength * getattr(cell, name)})
    if of != SIZE:
        raise ValueError(f"no property of a cause is called '{of}'; choose one of {[INDEX, SIZE]}")
    spheres = getattr(cell, cause).copy()
    if cause == "nucleus":
        middle = np.average(spheres[:, :3], axis=0, weights=spheres[:, 3] ** 3)
        spheres[:, :3] = middle + strength * (spheres[:, :3] - middle)
    spheres[:, 3] *= strength
    return replace(cell, **{cause: spheres})


def phantom_parameters(dataset_dir: str | os.PathLike[str]) -> PhantomParameters | None:
    """Return what the phantoms of a prepared data set were generated with; ``None`` if the data are none.

    Args:
        dataset_dir: folder of the datalist, or the datalist.

    Raises:
        DataError: if the datalist or the record of the generated files is broken.
    """
    datalist = find_datalist(dataset_dir)
    if datalist is None:
        return None
    source = datalist.resolve().parent / str(read_datalist(datalist).get("info", {}).get("source", ""))
    if not source.is_dir() or source == datalist.resolve().parent:
        return None
    generated = generated_parameters(source / "recording")
    return None if generated is None else PhantomParameters.from_config(generated.get("parameters"))


@dataclass(frozen=True)
class Interventions:
    """Draws phantom cells at several strengths of their cause.

    Args:
        dataset_dir: the data to be explained; only where they are phantoms is anything drawn, with their parameters.
        classes: class names in the order of the logits.
        phase_range: see :func:`scripts.network_input.network_input`.
        crop_size: side of a crop, pixels.
        phantoms: cells of each class.
        index_strengths: factors on the refractive index of the cause.
        size_strengths: factors on the size of the cause.
        seed: of the cells, which are none of the data's.
    """

    dataset_dir: str | os.PathLike[str]
    classes: Sequence[str]
    phase_range: Sequence[float] = (0.0, 1.0)
    crop_size: int = 50
    phantoms: int = 4
    index_strengths: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
    size_strengths: Sequence[float] = (0.6, 0.7, 0.8, 0.9, 1.0)
    seed: int = 0

    def __call__(self) -> list[AlteredImages]:
        """Return the altered cells of every class; none if the data are no phantoms, or ``phantoms`` is 0."""
        parameters = phantom_parameters(self.dataset_dir)
        if parameters is None or self.phantoms == 0:
            return []
        levels: Mapping[str, Sequence[float]] = {INDEX: self.index_strengths, SIZE: self.size_strengths}
        return [
            self._draw(label, name, of, tuple(map(float, strengths)), parameters)
            for of, strengths in levels.items()
            for label, name in enumerate(self.classes)
        ]

    def _draw(
        self, label: int, name: str, of: str, strengths: tuple[float, ...], parameters: PhantomParameters
    ) -> AlteredImages:
        kinds, shape = [name] * self.phantoms, (self.crop_size, self.crop_size)
        # no seed of a data set has so many digits: these are new cells of new donors
        seed = 10_000_019 * (label + 1) + self.seed
        images: list[NDArray[np.float32]] = []
        causes: list[NDArray[np.bool_]] = []
        for strength in strengths:
            alter = partial(alter_cause, of=of, strength=strength)
            drawn, _, truth = draw_crops(
                kinds, seed, parameters=parameters, donors=range(self.phantoms), shape=shape, alter=alter
            )
            images.append(drawn)
            causes.append((truth & TRUTH.value("cause")) > 0)
        phase = torch.from_numpy(np.stack(images, axis=1))[:, :, None]  # (P, S, 1, H, W)
        scaled = normalise_phase(phase, (float(self.phase_range[0]), float(self.phase_range[1])), clip=False)
        return AlteredImages(of, name, label, strengths, torch.as_tensor(scaled), np.stack(causes, axis=1))
