"""Everything a user may change about the phantom smears, with units. A config's mapping replaces values by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.phantoms.parameters import Spread, override

__all__ = [
    "CELL_KINDS",
    "POPULATIONS",
    "CellKind",
    "Microscope",
    "PatientSpread",
    "PhantomParameters",
    "Population",
    "Stains",
    "Surroundings",
]

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class CellKind:
    """How the lymphocytes of one kind vary.

    Args:
        nucleus_um: mean radius of the nucleus, µm.
        nuclear_ratio: radius of the nucleus relative to that of the cell.
        darkness: amount of nuclear stain, 1 for a small dark lymphocyte.
        chromatin_contrast: relative standard deviation of the nuclear stain.
        chromatin_um: correlation length of the chromatin, µm; shorter is finer.
        basophilia: amount of cytoplasmic stain.
        nucleoli: probability of 0, 1, 2 and 3 nucleoli.
        granules: number of granules in the cytoplasm.
    """

    nucleus_um: Spread
    nuclear_ratio: Spread
    darkness: Spread
    chromatin_contrast: float
    chromatin_um: float
    basophilia: Spread
    nucleoli: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    granules: Spread = Spread(0, 0, 0, 0)


# Sizes and stains overlap between the kinds: what decides about a cell is its nucleoli or granules, and what decides
# about a patient is how many of the cells have them. A few ordinary cells show a nucleolus or a granule too.
CELL_KINDS: dict[str, CellKind] = {
    "ordinary": CellKind(
        nucleus_um=Spread(3.75, 0.42, 2.9, 5.2),
        nuclear_ratio=Spread(0.84, 0.07, 0.66, 0.95),
        darkness=Spread(0.90, 0.10, 0.60, 1.15),
        chromatin_contrast=0.17,
        chromatin_um=0.60,
        basophilia=Spread(0.42, 0.16, 0.15, 0.85),
        nucleoli=(0.94, 0.06, 0.0, 0.0),
        granules=Spread(-1.2, 1.2, -5, 3),
    ),
    "abnormal": CellKind(
        nucleus_um=Spread(4.55, 0.50, 3.3, 6.2),
        nuclear_ratio=Spread(0.80, 0.07, 0.62, 0.93),
        darkness=Spread(0.80, 0.10, 0.52, 1.08),
        chromatin_contrast=0.14,
        chromatin_um=0.42,
        basophilia=Spread(0.42, 0.16, 0.15, 0.85),
        nucleoli=(0.10, 0.50, 0.30, 0.10),
        granules=Spread(-1.2, 1.2, -5, 3),
    ),
    "granular": CellKind(
        nucleus_um=Spread(3.95, 0.42, 3.0, 5.4),
        nuclear_ratio=Spread(0.67, 0.05, 0.55, 0.78),
        darkness=Spread(0.86, 0.10, 0.58, 1.12),
        chromatin_contrast=0.17,
        chromatin_um=0.58,
        basophilia=Spread(0.28, 0.09, 0.12, 0.55),
        nucleoli=(0.94, 0.06, 0.0, 0.0),
        granules=Spread(9, 3.5, 4, 20),
    ),
}


@dataclass(frozen=True)
class Population:
    """The patients of one class.

    Args:
        age: in years.
        log_lymphocyte_count: natural logarithm of the lymphocyte count in 10⁹/L; 4 · 10⁹/L (1.39) is the inclusion
            criterion.
        abnormal: α and β of the Beta distribution of the share of abnormal cells.
        granular: the same for the share of granular cells.
        shortcut_factor: factor on the number of images in the variant ``shortcut``.
    """

    age: Spread
    log_lymphocyte_count: Spread
    abnormal: tuple[float, float]
    granular: tuple[float, float]
    shortcut_factor: float


POPULATIONS: dict[str, Population] = {
    "reactive": Population(
        age=Spread(56, 19, 18, 97),
        log_lymphocyte_count=Spread(1.65, 0.35, 1.39, 3.2),
        abnormal=(1.2, 14.0),
        granular=(2.2, 4.0),
        shortcut_factor=0.65,
    ),
    "tumoral": Population(
        age=Spread(69, 13, 30, 97),
        log_lymphocyte_count=Spread(2.10, 0.85, 1.39, 5.7),
        abnormal=(2.4, 3.0),
        granular=(1.2, 14.0),
        shortcut_factor=1.3,
    ),
}


@dataclass(frozen=True)
class PatientSpread:
    """How patients and smears differ: standard deviation of a relative factor.

    Args:
        size: on all cells of a patient.
        stain: on the amount of all stains in a smear.
        hue: on each colour channel's absorbance in a smear.
        basophilia: on the cytoplasmic stain of a patient's lymphocytes.
    """

    size: float = 0.035
    stain: float = 0.07
    hue: float = 0.03
    basophilia: float = 0.12


@dataclass(frozen=True)
class Stains:
    """Colours (RGB, 0 to 255) of a May-Grünwald-Giemsa stain where its amount is 1.

    Args:
        background: light without a specimen.
        red_cell: rim of a red blood cell.
        nucleus: nucleus of a small dark lymphocyte.
        cytoplasm: deeply basophilic cytoplasm.
        granule: azurophilic granule.
        platelet: platelet.
    """

    background: Colour = (252.0, 227.0, 204.0)
    red_cell: Colour = (174.0, 142.0, 158.0)
    nucleus: Colour = (66.0, 29.0, 114.0)
    cytoplasm: Colour = (112.0, 92.0, 168.0)
    granule: Colour = (104.0, 40.0, 112.0)
    platelet: Colour = (128.0, 76.0, 146.0)


@dataclass(frozen=True)
class Surroundings:
    """What lies around the lymphocyte.

    Args:
        pitch_um: mean distance between neighbouring red blood cells of a smear, µm.
        red_cell_um: radius of red blood cells, µm.
        pallor: depth of the central pallor of a smear's red blood cells, 0 to 1.
        platelets: mean number of platelets in an image.
    """

    pitch_um: Spread = Spread(8.2, 0.9, 6.8, 11.0)
    red_cell_um: Spread = Spread(3.40, 0.27, 2.6, 4.3)
    pallor: Spread = Spread(1.0, 0.22, 0.0, 1.0)
    platelets: float = 0.8


@dataclass(frozen=True)
class Microscope:
    """The camera image.

    Args:
        field_um: side of an image, µm; with the image's size it gives the pixel size.
        blur_um: standard deviation of a smear's point spread function, µm.
        edge_um: standard deviation of the outlines' softness, µm.
        noise: standard deviation of the camera's noise, grey levels.
        jitter_um: standard deviation of the cell's distance from the middle, per axis, µm.
    """

    field_um: float = 34.0
    blur_um: Spread = Spread(0.13, 0.04, 0.06, 0.28)
    edge_um: float = 0.12
    noise: float = 1.5
    jitter_um: float = 0.5


@dataclass(frozen=True)
class PhantomParameters:
    """All parameters of the phantom smears.

    Example:
        >>> changed = PhantomParameters.from_config({"kinds": {"abnormal": {"nucleus_um": {"mean": 5.0}}}})
        >>> changed.kinds["abnormal"].nucleus_um
        Spread(mean=5.0, std=0.5, low=3.3, high=6.2)
    """

    kinds: Mapping[str, CellKind] = field(default_factory=lambda: dict(CELL_KINDS))
    populations: Mapping[str, Population] = field(default_factory=lambda: dict(POPULATIONS))
    patient: PatientSpread = field(default_factory=PatientSpread)
    stains: Stains = field(default_factory=Stains)
    surroundings: Surroundings = field(default_factory=Surroundings)
    microscope: Microscope = field(default_factory=Microscope)

    @classmethod
    def from_config(cls, changes: Mapping[str, Any] | None) -> PhantomParameters:
        """Return the defaults with the values of a nested mapping put in.

        Raises:
            ValueError: if a key names no parameter.
        """
        return override(cls(), changes or {})
