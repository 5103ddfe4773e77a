"""Everything a user may change about the phantoms, with units. A config's mapping replaces single values by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.phantoms.parameters import Spread, override

__all__ = [
    "CELL_TYPES",
    "CellType",
    "DonorSpread",
    "FrameParameters",
    "MarkParameters",
    "Optics",
    "OutlierParameters",
    "PhantomParameters",
    "Spread",
    "override",
]


@dataclass(frozen=True)
class CellType:
    """How the cells of one type vary. Refractive indices are differences, as named.

    Args:
        diameter_um: of the cell in suspension, µm.
        axial_ratio: extent along the light's path relative to the diameter.
        roughness: root mean square of the outline's relative deviation from a circle.
        elongation: relative amplitude of the outline's ellipticity.
        cytoplasm_index: cytoplasm minus medium.
        nucleus_index: nucleus minus cytoplasm.
        chromatin_contrast: relative standard deviation of the nucleus' index.
        lobes: number of nucleus lobes and how frequent it is; 0 stands for a kidney, 1 for a round nucleus.
        granules: number of granules.
        granule_radius_um: radius of the cell's granules, µm; within a cell they vary by a fifth of it.
        granule_index: granules minus cytoplasm.
        cytoplasm_contrast: relative standard deviation of the cytoplasm's index.
        degranulated: share of cells that have lost three quarters of their granules.
        tilt_deg: largest tilt of the nucleus out of the image plane, degrees.
    """

    diameter_um: Spread
    axial_ratio: Spread
    roughness: float
    elongation: float
    cytoplasm_index: Spread
    nucleus_index: Spread
    chromatin_contrast: float
    lobes: Mapping[int, float]
    granules: Spread
    granule_radius_um: Spread
    granule_index: Spread
    cytoplasm_contrast: float = 0.03
    degranulated: float = 0.0
    tilt_deg: float = 30.0


# Diameters in suspension overlap between the types, and the indices are chosen so that mean phase and dry mass do too:
# what decides is the nucleus' shape and the granules. A few cells of each type are atypical (round monocyte nuclei,
# cleaved lymphocytes, band neutrophils, degranulated eosinophils), so that no classifier can be right about every cell.
CELL_TYPES: dict[str, CellType] = {
    "monocyte": CellType(
        diameter_um=Spread(12.2, 1.3, 9.8, 15.8),
        axial_ratio=Spread(0.78, 0.06, 0.62, 0.92),
        roughness=0.022,
        elongation=0.03,
        cytoplasm_index=Spread(0.0195, 0.0026, 0.013, 0.028),
        nucleus_index=Spread(0.0250, 0.0040, 0.015, 0.038),
        chromatin_contrast=0.10,
        lobes={0: 0.93, 1: 0.07},
        granules=Spread(14, 8, 0, 40),
        granule_radius_um=Spread(0.20, 0.04, 0.12, 0.30),
        granule_index=Spread(0.035, 0.008, 0.015, 0.06),
    ),
    "lymphocyte": CellType(
        diameter_um=Spread(10.3, 1.3, 7.2, 13.5),
        axial_ratio=Spread(0.86, 0.05, 0.70, 0.98),
        roughness=0.014,
        elongation=0.02,
        cytoplasm_index=Spread(0.0215, 0.0028, 0.014, 0.031),
        nucleus_index=Spread(0.0150, 0.0030, 0.007, 0.025),
        chromatin_contrast=0.14,
        lobes={1: 0.94, 0: 0.06},
        granules=Spread(5, 5, 0, 20),
        granule_radius_um=Spread(0.20, 0.04, 0.12, 0.30),
        granule_index=Spread(0.035, 0.008, 0.015, 0.06),
    ),
    "neutrophil": CellType(
        diameter_um=Spread(11.2, 1.1, 9.0, 13.8),
        axial_ratio=Spread(0.82, 0.05, 0.66, 0.95),
        roughness=0.020,
        elongation=0.03,
        cytoplasm_index=Spread(0.0200, 0.0026, 0.013, 0.029),
        nucleus_index=Spread(0.0340, 0.0050, 0.022, 0.048),
        chromatin_contrast=0.10,
        lobes={0: 0.06, 2: 0.08, 3: 0.40, 4: 0.33, 5: 0.13},
        granules=Spread(140, 30, 60, 220),
        granule_radius_um=Spread(0.19, 0.03, 0.12, 0.28),
        granule_index=Spread(0.045, 0.010, 0.02, 0.07),
    ),
    "eosinophil": CellType(
        diameter_um=Spread(11.7, 1.1, 9.2, 14.4),
        axial_ratio=Spread(0.82, 0.05, 0.66, 0.95),
        roughness=0.020,
        elongation=0.03,
        cytoplasm_index=Spread(0.0180, 0.0024, 0.012, 0.026),
        nucleus_index=Spread(0.0190, 0.0040, 0.010, 0.030),
        chromatin_contrast=0.10,
        lobes={2: 0.88, 3: 0.12},
        granules=Spread(55, 12, 30, 90),
        granule_radius_um=Spread(0.52, 0.06, 0.38, 0.68),
        granule_index=Spread(0.070, 0.011, 0.045, 0.10),
        degranulated=0.08,
    ),
}


@dataclass(frozen=True)
class Optics:
    """The microscope.

    Args:
        pixel_size: µm/px.
        wavelength: in vacuum, µm.
        medium_index: refractive index of the medium.
        refraction_increment: of protein, µm³/pg; turns optical path into dry mass.
        resolution: standard deviation of the point spread function in best focus, µm.
        focus_spread: standard deviation of the additional blur by height in the channel, µm.
        photons: detected photons that enter one pixel's phase.
        visibility: contrast of the interference fringes.
        coherent_noise: standard deviation of slowly varying noise that changes from frame to frame, radians.
        coherent_grain: its correlation length, µm.
        quantum: smallest phase step that is stored, radians.
    """

    pixel_size: float = 0.36
    wavelength: float = 0.528
    medium_index: float = 1.337
    refraction_increment: float = 0.19
    resolution: float = 0.24
    focus_spread: float = 0.12
    photons: float = 1500.0
    visibility: float = 0.6
    coherent_noise: float = 0.035
    coherent_grain: float = 1.4
    quantum: float = 1 / 512


@dataclass(frozen=True)
class DonorSpread:
    """How donors differ: standard deviation, over donors, of a relative factor.

    Args:
        size: on all diameters.
        index: on all refractive index differences.
        noise: on the photons that reach the camera.
        granularity: on the number of granules.
    """

    size: float = 0.03
    index: float = 0.04
    noise: float = 0.15
    granularity: float = 0.10


@dataclass(frozen=True)
class FrameParameters:
    """One camera frame.

    Args:
        shape: rows and columns, pixels.
        tilt: standard deviation of the background's rise from the middle to an edge, radians.
        curvature: standard deviation of the background's quadratic coefficients, radians.
        static_pattern: standard deviation of the fixed pattern of one recording, radians.
        piston: standard deviation of the phase offset of each frame, radians.
        clearance_um: free distance between cells that do not touch, µm.
        overlap: fraction of cells that touch or overlap an earlier one.
        cut: fraction of cells that the border cuts.
        debris: mean number of debris particles.
    """

    shape: tuple[int, int] = (384, 512)
    tilt: float = 0.4
    curvature: float = 0.15
    static_pattern: float = 0.04
    piston: float = 0.2
    clearance_um: float = 7.0
    overlap: float = 0.05
    cut: float = 0.05
    debris: float = 3.0


@dataclass(frozen=True)
class MarkParameters:
    """A bead that sticks to a cell: the distractor, or, tied to a class, the shortcut.

    Args:
        radius_um: of the bead, µm.
        index: bead minus medium.
        distance: of its centre from the cell's, relative to the cell's radius.
        distractor_rate: share of cells of every class that carry it in the variant ``distractor``.
        shortcut_class: the class that it gives away in the variant ``shortcut``.
        shortcut_rate: share of the cells of that class that carry it.
        shortcut_leak: share of the cells of the other classes that carry it.
    """

    radius_um: Spread = Spread(0.95, 0.08, 0.75, 1.15)
    index: Spread = Spread(0.110, 0.008, 0.09, 0.13)
    distance: Spread = Spread(0.80, 0.12, 0.50, 0.98)
    distractor_rate: float = 0.5
    shortcut_class: str = "neutrophil"
    shortcut_rate: float = 0.95
    shortcut_leak: float = 0.03


@dataclass(frozen=True)
class OutlierParameters:
    """What is no leukocyte that could be classified. Pairs are the ends of a uniform distribution.

    Args:
        thrombocyte_um: diameter of a thrombocyte, µm.
        thrombocyte_index: thrombocyte minus medium.
        aggregates: shares of the three sorts of aggregate: thrombocytes (3 to 7), leukocytes (2 or 3), and one
            leukocyte with 2 to 4 thrombocytes on its rim.
        defocus_um: distance from the focal plane, above or below, µm.
        cytoplasm_left: share of its cytoplasm that a ruptured cell has kept.
    """

    thrombocyte_um: tuple[float, float] = (2.0, 3.5)
    thrombocyte_index: tuple[float, float] = (0.032, 0.046)
    aggregates: tuple[float, float, float] = (0.40, 0.35, 0.25)
    defocus_um: tuple[float, float] = (10.0, 25.0)
    cytoplasm_left: tuple[float, float] = (0.12, 0.40)


@dataclass(frozen=True)
class PhantomParameters:
    """All parameters of the phantoms.

    Example:
        >>> changed = PhantomParameters.from_config({"cells": {"monocyte": {"diameter_um": {"mean": 13.0}}}})
        >>> changed.cells["monocyte"].diameter_um
        Spread(mean=13.0, std=1.3, low=9.8, high=15.8)
    """

    optics: Optics = field(default_factory=Optics)
    donor: DonorSpread = field(default_factory=DonorSpread)
    frame: FrameParameters = field(default_factory=FrameParameters)
    mark: MarkParameters = field(default_factory=MarkParameters)
    outliers: OutlierParameters = field(default_factory=OutlierParameters)
    cells: Mapping[str, CellType] = field(default_factory=lambda: dict(CELL_TYPES))

    @classmethod
    def from_config(cls, changes: Mapping[str, Any] | None) -> PhantomParameters:
        """Return the defaults with the values of a nested mapping put in.

        Raises:
            ValueError: if a key names no parameter.
        """
        return override(cls(), changes or {})
