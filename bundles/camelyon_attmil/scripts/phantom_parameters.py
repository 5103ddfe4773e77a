"""How phantom lymph nodes vary: one object per part, every value of which a config can replace by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.phantoms.parameters import Spread, override

__all__ = ["Artefacts", "Lesions", "NodeShape", "PhantomParameters", "Shortcut", "Stain"]


@dataclass(frozen=True)
class NodeShape:
    """Anatomy. Lengths in µm; depths are measured from the node's surface inwards.

    Args:
        filling: the node's width (height) relative to that of the slide.
        roughness: relative deviation of the outline from an ellipse.
        capsule: thickness of the collagenous capsule.
        sinus: depth to which the subcapsular sinus reaches.
        cortex: depth to which the cortex reaches; medullary cords and sinuses follow.
        follicle_spacing: distance of follicles along the cortex.
        follicle_radius: of a follicle; its germinal centre has 0.6 of it.
        follicle_share: share of the places that have a follicle.
        fat: greatest width of the fat around the node.
        vessels: number of vessels per mm² of the node.
        vessel_radius: of a vessel.
    """

    filling: Spread = Spread(0.92, 0.02, 0.88, 0.96)
    roughness: float = 0.05
    capsule: Spread = Spread(28.0, 8.0, 15.0, 50.0)
    sinus: Spread = Spread(50.0, 8.0, 38.0, 75.0)
    cortex: Spread = Spread(420.0, 90.0, 250.0, 650.0)
    follicle_spacing: Spread = Spread(420.0, 80.0, 300.0, 600.0)
    follicle_radius: Spread = Spread(120.0, 30.0, 70.0, 200.0)
    follicle_share: float = 0.7
    fat: Spread = Spread(220.0, 70.0, 80.0, 400.0)
    vessels: float = 2.0
    vessel_radius: Spread = Spread(22.0, 10.0, 10.0, 50.0)


@dataclass(frozen=True)
class Lesions:
    """Metastases, by kind. Extents in µm.

    Args:
        macro: greatest extent of a macrometastasis, relative to the node's; at least 2.05 mm.
        micro: greatest extent of a micrometastasis.
        itc: of a cluster of isolated tumour cells.
        micro_count: least and greatest number of micrometastases of a slide.
        itc_count: of clusters.
        roughness: relative deviation of an outline from a circle.
        island: probability that a macrometastasis encloses an island of lymphoid tissue, annotated as exclusion.
        cell_scale: size of tumour cells relative to the usual.
        contrast: by how much of its colours tumour replaces those of the tissue that it grew into: 1 stands out as a
            carcinoma does, below that it is faint.

    Raises:
        ValueError: if the contrast is not above 0 and at most 1.
    """

    macro: Spread = Spread(0.86, 0.04, 0.78, 0.93)
    micro: Spread = Spread(520.0, 220.0, 230.0, 1200.0)
    itc: Spread = Spread(110.0, 35.0, 50.0, 185.0)
    micro_count: tuple[int, int] = (1, 2)
    itc_count: tuple[int, int] = (1, 4)
    roughness: float = 0.13
    island: float = 0.5
    cell_scale: Spread = Spread(1.0, 0.08, 0.85, 1.2)
    contrast: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.contrast, int | float) or not 0 < self.contrast <= 1:
            raise ValueError(f"lesions.contrast: found {self.contrast!r}, expected a number above 0 and at most 1")


@dataclass(frozen=True)
class Artefacts:
    """What goes wrong with slides; probabilities by slide, independent of the diagnosis.

    Args:
        fold: of a tissue fold.
        pale_area: of an area that took little stain.
        pale_slide: of a slide that took little stain altogether.
        pen: of pen marks.
        tears: share of the tissue that is torn.
        fold_width: half width of a fold, µm.
        pen_width: half width of a pen's stroke, µm.
        pale_strength: stain of pale areas and slides, relative.
    """

    fold: float = 0.4
    pale_area: float = 0.3
    pale_slide: float = 0.1
    pen: float = 0.3
    tears: float = 0.015
    fold_width: Spread = Spread(22.0, 8.0, 10.0, 45.0)
    pen_width: Spread = Spread(60.0, 15.0, 35.0, 100.0)
    pale_strength: Spread = Spread(0.32, 0.06, 0.2, 0.45)


@dataclass(frozen=True)
class Stain:
    """Haematoxylin and eosin. Relative standard deviations between slides.

    Args:
        haematoxylin: absorbance of a unit in red, green and blue.
        eosin: the same.
        glass: light through the bare glass, 0 to 255.
        strength: of the amount of each stain.
        colour: of the absorbances.
        noise: standard deviation of the camera's noise, grey levels.
    """

    haematoxylin: tuple[float, float, float] = (0.68, 0.86, 0.42)
    eosin: tuple[float, float, float] = (0.13, 0.66, 0.36)
    glass: tuple[float, float, float] = (243.0, 242.0, 244.0)
    strength: float = 0.10
    colour: float = 0.04
    noise: float = 1.6


@dataclass(frozen=True)
class Shortcut:
    """In the variant ``shortcut`` slides with tumour bear pen marks more often; in ``plain`` the pen says nothing.

    Args:
        with_tumour: probability of pen marks on a slide with tumour.
        without_tumour: on another.
    """

    with_tumour: float = 0.9
    without_tumour: float = 0.1


@dataclass(frozen=True)
class PhantomParameters:
    """All parameters of the phantom slides.

    Example:
        >>> PhantomParameters.from_config({"artefacts": {"pen": 0.0}}).artefacts.pen
        0.0
    """

    node: NodeShape = field(default_factory=NodeShape)
    lesions: Lesions = field(default_factory=Lesions)
    artefacts: Artefacts = field(default_factory=Artefacts)
    stain: Stain = field(default_factory=Stain)
    shortcut: Shortcut = field(default_factory=Shortcut)

    @classmethod
    def from_config(cls, changes: Mapping[str, Any] | None) -> PhantomParameters:
        """Return the defaults with the values of a nested mapping put in.

        Raises:
            ValueError: if a key names no parameter.
        """
        return override(cls(), changes or {})
