"""Phantom films drawn again with one finding alone altered: how dense it is, how wide the heart, how deep the fluid.

Each film shows one finding. Its patient, everything else in the chest, devices and noise stay as they were drawn. A
film then goes the way of all films into the network, whose window follows the film's own grey values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.findings import FINDINGS
from scripts.network_input import window
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomStudy, sample_studies
from scripts.phantom_rendering import render_study
from scripts.placement import Placement
from shared.data.generated import generated_parameters
from shared.saliency.altered_images import AlteredImages

__all__ = ["DEPTH", "OPACITY", "WIDTH", "Interventions", "altered_films"]

OPACITY = "opacity of the finding"
WIDTH = "width of the heart"
DEPTH = "depth of the fluid"

#: which findings are altered in which way
_ALTERED: Mapping[str, tuple[str, ...]] = {
    OPACITY: ("atelectasis", "consolidation", "edema", "pleural_effusion"),
    WIDTH: ("cardiomegaly",),
    DEPTH: ("pleural_effusion",),
}
# extent of a finding where it is its opacity that changes: one that nobody would miss
_CLEAR = 0.7

Films = NDArray[np.uint8]


def altered_films(
    study: PhantomStudy,
    finding: str,
    of: str,
    strengths: Sequence[float],
    seed: int = 0,
    image_size: int = 320,
    parameters: PhantomParameters | None = None,
) -> tuple[Films, NDArray[np.bool_]]:
    """Draw one patient with one finding, again and again.

    Args:
        study: whose film it is; its own findings are left out.
        finding: the only one that is shown.
        of: :data:`OPACITY` (strengths are factors, 1 for a clear finding), :data:`WIDTH` (of the heart relative to the
            chest) or :data:`DEPTH` (extents of the fluid, 1 for 7 cm).
        strengths: rising, S of them.
        seed: of the phantom.
        image_size: rows and columns, pixels.
        parameters: of the phantoms; the defaults if None.

    Returns:
        Films ``(S, H, W)``, and where the finding is ``(S, H, W)``.

    Raises:
        ValueError: if the finding has no such property.
    """
    if finding not in _ALTERED.get(of, ()):
        raise ValueError(f"'{of}' cannot be altered in {finding}; it can in {dict(_ALTERED)}")
    index = FINDINGS.index(finding)
    films, causes = [], []
    for strength in strengths:
        extent = float(strength) if of == DEPTH else _CLEAR
        alone = _with_finding(study, index, extent)
        opacity, ratio = (strength if of == OPACITY else 1.0), (strength if of == WIDTH else None)
        film, truth = render_study(alone, seed, image_size, parameters, opacity=opacity, heart_ratio=ratio)
        films.append(film)
        causes.append((truth >> index & 1).astype(bool))
    return np.stack(films), np.stack(causes)


def _with_finding(study: PhantomStudy, index: int, extent: float) -> PhantomStudy:
    """Return a study that shows one finding alone, and no text."""
    only = tuple(k == index for k in range(len(FINDINGS)))
    return replace(
        study,
        extents=tuple(extent * shown for shown in only),
        present=only,
        codes=tuple(float(shown) for shown in only),
        marker=False,
    )


@dataclass(frozen=True)
class Interventions:
    """Draws phantom films at several strengths of a finding.

    Args:
        records: the data to be explained; only where they are phantoms is anything drawn, with their parameters.
        classes: names of the findings in the order of the logits.
        image_size: side of the network's input, pixels.
        percentiles: see :class:`scripts.network_input.ChestInput`.
        mode: see :class:`scripts.placement.Placement`.
        phantoms: patients that each alteration is drawn in.
        opacity_strengths: factors on the share of the air that a finding takes.
        heart_ratios: widths of the heart relative to the chest.
        fluid_extents: depths of the fluid, 1 for 7 cm.
        seed: of the patients, who are none of the data's.
    """

    records: Sequence[Mapping[str, Any]]
    classes: Sequence[str]
    image_size: int
    percentiles: Sequence[float] = (0.5, 99.5)
    mode: str = "pad"
    phantoms: int = 4
    opacity_strengths: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
    heart_ratios: Sequence[float] = (0.42, 0.47, 0.52, 0.57, 0.62)
    fluid_extents: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0)
    seed: int = 0

    def __call__(self) -> list[AlteredImages]:
        """Return the altered films; none if the data are no phantoms, or ``phantoms`` is 0."""
        generated = generated_parameters(self.records[0]["image"]) if self.records else None
        if generated is None or self.phantoms == 0:
            return []
        return list(self._altered(generated))

    def _altered(self, generated: Mapping[str, Any]) -> Iterator[AlteredImages]:
        parameters = PhantomParameters.from_config(generated.get("parameters"))
        size = int(generated.get("image_size", self.image_size))
        levels = {OPACITY: self.opacity_strengths, WIDTH: self.heart_ratios, DEPTH: self.fluid_extents}
        seed = 10_000_019 + self.seed  # of no data set
        studies = sample_studies({"test": self.phantoms}, seed, parameters=parameters)
        for of, findings in _ALTERED.items():
            strengths = tuple(map(float, levels[of]))
            for finding in findings:
                drawn = [altered_films(study, finding, of, strengths, seed, size, parameters) for study in studies]
                images, causes = zip(*(self._inputs(*one) for one in drawn), strict=True)
                target = list(self.classes).index(finding)
                yield AlteredImages(of, finding, target, strengths, torch.stack(images), np.stack(causes))

    def _inputs(self, films: Films, causes: NDArray[np.bool_]) -> tuple[torch.Tensor, NDArray[np.bool_]]:
        """Return films and masks ``(S, H, W)`` as the network's input has them: ``(S, 1, I, I)`` and ``(S, I, I)``."""
        placement = Placement((films.shape[1], films.shape[2]), self.image_size, self.mode)
        placed = [placement.pad(window(placement.resize(film.astype(np.float32)), self.percentiles)) for film in films]
        masks = [placement.fit_mask(cause.astype(np.uint8)) > 0 for cause in causes]
        return torch.from_numpy(np.stack(placed).astype(np.float32))[:, None], np.stack(masks)
