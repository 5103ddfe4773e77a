"""Whether the diagnosis, the values of cells and the maps follow a cause that alone is altered in phantom patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from scripts.altered_phantoms import (
    CELL_CAUSES,
    SHARE,
    SHARE_CELLS,
    SHARES,
    AlteredPatient,
    alter_cells,
    alter_share,
    drawn_patients,
)
from scripts.cell_maps import CellMaps
from scripts.phantom_parameters import PhantomParameters
from scripts.value_methods import ComparedValues
from shared.data.generated import generated_parameters
from shared.saliency.intervention import (
    NOT_GENERATED,
    Altered,
    rank_response,
    response_rows,
    share_in_cause,
    unaltered_rows,
)

__all__ = ["Interventions"]

Floats = NDArray[np.float64]

TUMORAL = 1
#: Numbers added to the seed of the data, so that altered patients are none of the data set's.
OTHER_PATIENTS = 7919


class Interventions:
    """Draws patients as those of the data were, with one thing altered step by step, and asks what follows it.

    The output is the logit of the class that the cause speaks for. What of an attribution counts is its share on
    the cause: on pixels for maps, on the cells that are replaced for values of cells.

    Args:
        values: of cells, by a network whose weights are loaded before the first call.
        maps: of single cells.
        classes: class names in the order of the labels.
        patients: that are drawn for each cause.
        cells: of each of them whose cells are altered.
        image_size: rows and columns of the network's images, pixels.
        seed: added to that of the data.
    """

    def __init__(
        self,
        values: ComparedValues,
        maps: CellMaps,
        classes: Sequence[str],
        patients: int = 5,
        cells: int = 8,
        image_size: int = 112,
        seed: int = 0,
    ) -> None:
        self.values = values
        self.maps = maps
        self.classes = list(classes)
        self.patients = patients
        self.cells = cells
        self.image_size = image_size
        self.seed = seed

    def rows(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of ``output_response`` and ``map_response``.

        Args:
            records: of the patients that are explained, with ``image`` (paths), which say whether they were generated.

        Returns:
            Rows that say why nothing was altered, if the data were not generated.
        """
        generated = generated_parameters(records[0]["image"][0])
        methods = [*self.maps.methods, *self.values.names()]
        if generated is None:
            return unaltered_rows(methods, NOT_GENERATED)
        parameters = PhantomParameters.from_config(generated["parameters"])
        seed = int(generated["seed"]) + OTHER_PATIENTS + self.seed
        outputs: dict[Altered, Floats] = {}
        responses: dict[str, dict[Altered, Floats]] = {name: {} for name in methods}
        for cause in tqdm(CELL_CAUSES, desc="altering", unit="cause"):
            altered = [
                alter_cells(patient, cause, seed, self.image_size, parameters)
                for patient in drawn_patients(self.patients, self.cells, cause.label, seed, parameters)
            ]
            place = (cause.title, self.classes[cause.label])
            logits = np.stack([self._logits(patient, cause.label) for patient in altered])
            outputs[place] = rank_response(logits, cause.strengths)
            causes = np.stack([patient.cause for patient in altered])  # (P, S, N, H, W)
            for name, method in self.maps.methods.items():
                maps = np.stack([self._maps(name, patient, cause.label) for patient in altered])
                shares = share_in_cause(maps, causes, method.sign)
                responses[name][place] = rank_response(shares, cause.strengths)
        place = (SHARE, self.classes[TUMORAL])
        altered = [
            alter_share(patient, seed, self.image_size, parameters)
            for patient in drawn_patients(self.patients, SHARE_CELLS, TUMORAL, seed, parameters)
        ]
        outputs[place] = rank_response(np.stack([self._logits(patient, TUMORAL) for patient in altered]), SHARES)
        causes = np.stack([patient.cause for patient in altered])  # (P, S, N)
        found = [self._values(patient) for patient in altered]
        for name in self.values.names():
            shares = share_in_cause(np.stack([rows[name] for rows in found]), causes)
            responses[name][place] = rank_response(shares, SHARES)
        strengths = {cause.title: cause.strengths for cause in CELL_CAUSES} | {SHARE: SHARES}
        rows = response_rows("output_response", outputs, None, strengths)
        for name, parts in responses.items():
            rows += response_rows("map_response", parts, name, strengths)
        return rows

    def _logits(self, patient: AlteredPatient, label: int) -> Floats:
        """Return the logit of a class at each strength, ``(S,)``."""
        strengths, cells = patient.images.shape[:2]
        images = _network_input(patient.images.reshape(-1, *patient.images.shape[2:]))
        subsets = np.split(np.arange(strengths * cells), strengths)
        logits = self.values.valuation.logits(images, torch.from_numpy(patient.attributes), subsets)
        return logits if label == TUMORAL else -logits

    def _maps(self, method: str, patient: AlteredPatient, label: int) -> Floats:
        """Return the maps ``(S, N, H, W)``."""
        shape = patient.images.shape[:4]
        images = _network_input(patient.images.reshape(-1, *patient.images.shape[2:]))
        return self.maps(method, images, label).reshape(shape)

    def _values(self, patient: AlteredPatient) -> dict[str, Floats]:
        """Return the values of the cells at each strength, ``(S, N)``, by name."""
        attributes = torch.from_numpy(patient.attributes)
        columns = [
            self.values({"image": _network_input(images), "attributes": attributes}) for images in patient.images
        ]
        return {name: np.stack([rows[name] for rows in columns]) for name in self.values.names()}


def _network_input(images: NDArray[np.uint8]) -> torch.Tensor:
    """Return pictures ``(N, H, W, 3)`` as the network takes them, ``(N, 3, H, W)``."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))
