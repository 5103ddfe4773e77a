"""Phantom patients: diagnosis, age, lymphocyte count, number of images and share of each kind of lymphocyte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scripts.phantom_parameters import PhantomParameters, Population
from shared.phantoms.parameters import Spread

__all__ = ["CLASSES", "VARIANTS", "PhantomPatient", "sample_patients"]

CLASSES = ("reactive", "tumoral")
VARIANTS = ("plain", "shortcut")

# the second number of a seed says what is drawn from it
_LABEL, _ATTRIBUTES = range(2)


@dataclass(frozen=True)
class PhantomPatient:
    """One patient.

    Args:
        identity: the patient's name.
        number: by which the random draws of the patient's cells are seeded.
        label: index in :data:`CLASSES`.
        sex: ``M`` or ``F``.
        age: whole years.
        lymphocyte_count: in 10⁹/L.
        images: number of images.
        shares: probability of each kind of lymphocyte (ordinary, abnormal, granular).
    """

    identity: str
    number: int
    label: int
    sex: str
    age: int
    lymphocyte_count: float
    images: int
    shares: tuple[float, float, float]


def sample_patients(
    patients: int,
    seed: int = 0,
    variant: str = "plain",
    tumoral_share: float = 0.65,
    bag_size: Spread | Mapping[str, float] = Spread(80, 45, 16, 198),
    parameters: PhantomParameters | None = None,
) -> list[PhantomPatient]:
    """Draw patients. The variants of one seed differ in the number of images alone.

    Args:
        patients: their number.
        seed: of everything.
        variant: ``plain``, in which the number of images says nothing of the diagnosis, or ``shortcut``, in which
            tumoral patients have more.
        tumoral_share: share of tumoral patients, exact but for rounding.
        bag_size: number of images of a patient; the defaults are the smallest and largest number, and nearly the mean
            and the standard deviation, that the paper states (section 4).
        parameters: of the phantoms; the defaults if None.

    Raises:
        ValueError: if the variant is unknown or the share is no share.
    """
    if variant not in VARIANTS:
        raise ValueError(f"no phantom variant is called '{variant}'; choose one of {list(VARIANTS)}")
    if not 0 <= tumoral_share <= 1:
        raise ValueError(f"tumoral_share must lie in 0 to 1, found {tumoral_share}")
    parameters = parameters or PhantomParameters()
    sizes = bag_size if isinstance(bag_size, Spread) else Spread(**bag_size)
    labels = np.arange(patients) < round(patients * tumoral_share)
    labels = np.random.default_rng([seed, _LABEL]).permutation(labels).astype(int)
    width = len(str(max(patients - 1, 1)))
    drawn = []
    for number, label in enumerate(labels.tolist()):
        population = parameters.populations[CLASSES[label]]
        rng = np.random.default_rng([seed, _ATTRIBUTES, number])
        images = sizes.draw(rng)
        if variant == "shortcut":
            images = float(np.clip(images * population.shortcut_factor, sizes.low, sizes.high))
        drawn.append(
            PhantomPatient(
                identity=f"P{number:0{width}d}",
                number=number,
                label=label,
                sex=str(rng.choice(["F", "M"])),
                age=round(population.age.draw(rng)),
                lymphocyte_count=round(float(np.exp(population.log_lymphocyte_count.draw(rng))), 2),
                images=max(1, round(images)),
                shares=_shares(population, rng),
            )
        )
    return drawn


def _shares(population: Population, rng: np.random.Generator) -> tuple[float, float, float]:
    abnormal, granular = rng.beta(*population.abnormal), rng.beta(*population.granular)
    # a smear without a single ordinary lymphocyte is not seen
    excess = max(1.0, (abnormal + granular) / 0.95)
    return 1 - (abnormal + granular) / excess, abnormal / excess, granular / excess
