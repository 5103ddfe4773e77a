"""Whether the output and the values of tiles follow a metastasis that alone grows on phantom slides."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from scripts.altered_slides import AREAS, SlideAlteration
from scripts.inference_data import PREPARE_CONFIG, slide_extraction
from scripts.networks import BagClassifier
from scripts.slide_values import SlideValues
from shared.data.errors import DataError
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

AREA = "area of the metastasis"


class Interventions:
    """Draws small slides as those of the data were, with a metastasis that grows, and asks what follows it.

    What of the values counts is their share on the tiles that the metastasis covers at its largest.

    Args:
        network: that is explained, which knows the encoder that it was trained with.
        valuation: explains bags by it; its weights are loaded before the first call.
        classes: class names in the order of the labels.
        slides: that are drawn.
        tiles: along each side of a slide.
        tumour_share: a tile is covered if more than this share of it is tumour.
        calibration_file: records how the features were made; need not exist.
        prepare_overrides: see :func:`scripts.inference_data.inference_records`.
        prepare_config: see there.
        seed: of the slides.
    """

    def __init__(
        self,
        network: BagClassifier,
        valuation: SlideValues,
        classes: Sequence[str],
        slides: int = 4,
        tiles: int = 8,
        tumour_share: float = 0.1,
        calibration_file: str | os.PathLike[str] | None = None,
        prepare_overrides: Mapping[str, Any] | None = None,
        prepare_config: str | os.PathLike[str] = PREPARE_CONFIG,
        seed: int = 0,
    ) -> None:
        self.network = network
        self.valuation = valuation
        self.classes = list(classes)
        self.slides = slides
        self.tiles = tiles
        self.tumour_share = tumour_share
        self.extraction = prepare_config, prepare_overrides or {}, calibration_file
        self.seed = seed

    def rows(self, records: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of ``output_response`` and ``map_response``.

        Args:
            records: of the slides that are explained, whose ``slide`` (path) says whether they were generated.
            methods: those that explain the network.

        Returns:
            Rows that say why nothing was altered, if the data were not generated or their encoder is not at hand.
        """
        slide = records[0].get("slide")
        generated = generated_parameters(slide) if slide is not None and Path(slide).is_file() else None
        if generated is None:
            return unaltered_rows(methods, NOT_GENERATED)
        try:
            extraction = slide_extraction(self.network.feature_kind, *self.extraction)
        except DataError as error:
            return unaltered_rows(methods, f"the encoder of the slides is not at hand: {error}")
        alteration = SlideAlteration(generated, extraction, self.tiles)
        logits = np.empty((self.slides, len(AREAS)))
        shares = {name: np.empty((self.slides, len(AREAS))) for name in methods}
        for number in tqdm(range(self.slides), desc="altering", unit="slide"):
            altered = alteration(self.seed * self.slides + number)
            logits[number] = [self.valuation.logit(features) for features in altered.features]
            values = [self.valuation(features) for features in altered.features]
            covered = altered.tumour[None] > self.tumour_share  # (1, S, N)
            for name in methods:
                of_tiles = np.stack([at_area[name] for at_area in values])  # (S, N)
                shares[name][number] = share_in_cause(of_tiles[None], covered)[0]
        place: Altered = (AREA, self.classes[-1])
        strengths = {AREA: AREAS}
        rows = response_rows("output_response", {place: rank_response(logits, AREAS)}, None, strengths)
        for name, parts in shares.items():
            rows += response_rows("map_response", {place: rank_response(parts, AREAS)}, name, strengths)
        return rows
