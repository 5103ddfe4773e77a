"""What is decided about a study's findings before its chest is drawn: sides, lobes, and how they change the chest.

Lengths in cm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scripts.phantom_patients import PhantomStudy
from scripts.phantom_thorax import RIGHT_LEFT

__all__ = ["LOBES", "FindingPlan", "plan_findings"]

#: side, middle (across, along) as in ``Thorax.lung_point``, and the fissure that bounds it: along, and 1 if above
LOBES: dict[str, tuple[int, tuple[float, float], tuple[float, int] | None]] = {
    "right upper": (-1, (0.45, 0.30), (0.50, -1)),
    "right middle": (-1, (0.30, 0.72), (0.52, 1)),
    "right lower": (-1, (0.60, 0.85), None),
    "left upper": (1, (0.50, 0.32), None),
    "lingula": (1, (0.60, 0.68), None),
    "left lower": (1, (0.45, 0.88), None),
}


@dataclass(frozen=True)
class FindingPlan:
    """What is decided about a study's findings before the chest is drawn.

    Args:
        heart_ratio: width of the heart relative to the chest; None for a normal heart.
        collapsed: side of the atelectasis, and whether it is a wedge (lobar) or plates.
        lifts: by how much each diaphragm is drawn up, cm.
        shift: by how much the mediastinum is drawn to the left, cm.
        lobe: key of :data:`LOBES` of the consolidation.
        effusions: extent of the fluid on the right and on the left.
        veil: whether the fluid has spread behind the lung of a lying patient.
        redistribution: of blood to the upper lungs by edema, 0 to 1.
    """

    heart_ratio: float | None
    collapsed: tuple[int, bool]
    lifts: tuple[float, float]
    shift: float
    lobe: str
    effusions: tuple[float, float]
    veil: bool
    redistribution: float


def plan_findings(study: PhantomStudy, rng: np.random.Generator, threshold: float) -> FindingPlan:
    """Draw the layout of a study's findings.

    Args:
        study: with the extents.
        rng: source of randomness.
        threshold: extent from which on a finding counts as present. The heart's ratio passes 0.5 there.
    """
    atelectasis, cardiomegaly, _, edema, effusion = study.extents
    side, wedge = int(rng.choice(RIGHT_LEFT)), bool(rng.random() < 0.5)
    lift = atelectasis * rng.uniform(1.2, 4.2)
    shift = side * atelectasis * rng.uniform(0.2, 1.6) if wedge else 0.0
    both = rng.random() < 0.45
    lesser = rng.uniform(0.3, 1.0) * effusion if both else 0.0
    pair = (effusion, lesser) if rng.random() < 0.55 else (lesser, effusion)
    ratio = None
    if cardiomegaly > 0:
        beyond = (cardiomegaly - threshold) / (1 - threshold)
        ratio = 0.5 + (0.15 if beyond >= 0 else 0.045) * beyond
    return FindingPlan(
        heart_ratio=ratio,
        collapsed=(side, wedge),
        lifts=(lift, 0.0) if side < 0 else (0.0, lift),
        shift=shift,
        lobe=str(rng.choice(list(LOBES))),
        effusions=pair,
        veil=study.view == "AP" and bool(rng.random() < 0.4),
        redistribution=edema,
    )
