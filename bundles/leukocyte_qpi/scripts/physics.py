r"""From the phase of a cell to its optical path difference, projected area and dry mass.

A wave of vacuum wavelength λ that passes a cell of thickness h and mean refractive index n in a medium of index
:math:`n_0` gains the phase :math:`\varphi = 2\pi (n - n_0) h / \lambda`, hence the optical path difference

.. math:: \mathrm{OPD} = (n - n_0) h = \varphi \lambda / 2\pi.

The refractive index grows in proportion to the concentration C of dry matter, :math:`n - n_0 = \alpha C`, with the
refraction increment α, which is nearly the same for all proteins (Barer 1952, "Interference microscopy and mass
determination", Nature 169:366). The dry mass below the projected area S is therefore (Popescu et al. 2008, "Optical
imaging of cell mass and growth dynamics", Am J Physiol Cell Physiol 295:C538)

.. math:: m = \int_S C h \, dA = \frac{1}{\alpha} \int_S \mathrm{OPD} \, dA.

Units: 1 ml/g = 1 cm³/g = 10¹² µm³ / 10¹² pg = 1 µm³/pg, so with OPD in µm, areas in µm² and α in ml/g the mass comes
out in pg.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Optics", "dry_mass", "optical_path_difference", "projected_area"]


def optical_path_difference(phase: ArrayLike, wavelength_nm: float) -> NDArray[np.float64]:
    """Return the optical path difference in nm of a phase in radians: φ λ / 2π.

    Example:
        >>> float(optical_path_difference(np.pi, wavelength_nm=528))
        264.0
    """
    return np.asarray(phase, dtype=np.float64) * wavelength_nm / (2 * np.pi)


def projected_area(mask: ArrayLike, pixel_size_um: float) -> float:
    """Return the area of the true pixels of a mask in µm²."""
    return float(np.count_nonzero(mask) * pixel_size_um**2)


def dry_mass(
    phase: ArrayLike, mask: ArrayLike, wavelength_nm: float, pixel_size_um: float, refraction_increment: float
) -> float:
    """Return the dry mass in pg within a mask, ∫ OPD dA / α (Popescu et al. 2008).

    Args:
        phase: background-subtracted phase in radians, ``(H, W)``.
        mask: true inside the cell, ``(H, W)``.
        wavelength_nm: vacuum wavelength in nm.
        pixel_size_um: side of a pixel in the plane of the cell in µm.
        refraction_increment: α in ml/g (= µm³/pg).
    """
    opd_um = optical_path_difference(phase, wavelength_nm) / 1000
    volume_um3 = float(opd_um[np.asarray(mask, dtype=bool)].sum()) * pixel_size_um**2
    return volume_um3 / refraction_increment


@dataclass(frozen=True)
class Optics:
    """The constants of the microscope and of the cells' dry matter.

    Args:
        wavelength_nm: vacuum wavelength in nm.
        pixel_size_um: side of a pixel in the plane of the cell in µm.
        refraction_increment: α in ml/g (= µm³/pg).

    Raises:
        ValueError: if one of them is not positive.
    """

    wavelength_nm: float
    pixel_size_um: float
    refraction_increment: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, int | float) and value > 0):
                raise ValueError(f"{name} must be a positive number, found {value!r}")

    def measure(self, phase: NDArray[Any], mask: NDArray[Any]) -> dict[str, float]:
        """Return the physical quantities of one cell.

        Args:
            phase: background-subtracted phase in radians, ``(H, W)``.
            mask: true inside the cell, ``(H, W)``. If it is empty, the peak is that of the whole image, and area and
                mass are 0.

        Returns:
            ``opd_peak_nm`` (largest optical path difference), ``area_um2`` and ``dry_mass_pg``.
        """
        inside = phase[mask] if mask.any() else phase
        return {
            "opd_peak_nm": round(float(optical_path_difference(inside.max(), self.wavelength_nm)), 2),
            "area_um2": round(projected_area(mask, self.pixel_size_um), 3),
            "dry_mass_pg": round(
                dry_mass(phase, mask, self.wavelength_nm, self.pixel_size_um, self.refraction_increment), 3
            ),
        }
