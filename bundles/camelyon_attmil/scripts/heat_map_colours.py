"""What colour a value of a heat-map has, in the pictures, in the TIFF and in QuPath alike."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, ListedColormap, Normalize
from numpy.typing import ArrayLike, NDArray

from shared.saliency.colours import COLOURS, OPACITY, transparent_colours

__all__ = ["ColourScale", "Level"]

#: light to dark, so that a grey print keeps the order, in colours that no stain of the tissue has
SEQUENTIAL = "YlOrRd"
SIGNED_WORDS = ("strongly against", "against", "near zero", "for", "strongly for")
UNSIGNED_WORDS = ("very low", "low", "medium", "high", "very high")


@dataclass(frozen=True)
class Level:
    """A range of values that is one class in QuPath.

    Args:
        name: in words.
        low: lower end of the range; the lowest level has all below.
        high: upper end, not in the range; the highest has all above.
        colour: red, green and blue, 0 to 255.
    """

    name: str
    low: float
    high: float
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class ColourScale:
    """The colours of one map.

    Signed values diverge from 0, with limits symmetric about it; the others run from ``low`` to ``high``. What lies
    beyond has the colour of the end.

    Args:
        low: value at the lower end.
        high: at the upper end.
        signed: whether values speak for and against.
        clipped: whether there are values beyond the ends.
    """

    low: float
    high: float
    signed: bool
    clipped: bool = False

    @classmethod
    def of(cls, values: ArrayLike, signed: bool, percentile: float = 100.0, at_least: float = 0.0) -> ColourScale:
        """Return the scale of a slide's values.

        Args:
            values: of the tiles.
            signed: whether they speak for and against.
            percentile: of the values (signed: of their magnitude) at which the colours saturate. 100 is the largest:
                where few tiles of ten thousand decide, any other percentile would show all the rest as deciding too.
            at_least: that the upper end is at least.
        """
        given = np.asarray(values, dtype=np.float64)
        if signed:
            # of few values a percentile would lie between the two largest
            limit = float(np.percentile(np.abs(given), percentile, method="higher")) or float(np.abs(given).max())
            limit = max(limit, at_least) or 1.0
            return cls(-limit, limit, True, bool(np.abs(given).max() > limit))
        low, high = min(0.0, float(given.min())), float(np.percentile(given, percentile, method="higher"))
        high = max(high, at_least)
        if high <= low:
            high = max(float(given.max()), low + 1.0)
        return cls(low, high, False, bool(given.max() > high))

    @property
    def colour_map(self) -> Colormap:
        """The opaque colours."""
        return matplotlib.colormaps[COLOURS if self.signed else SEQUENTIAL]

    @property
    def overlay_map(self) -> ListedColormap:
        """The colours with an opacity that grows with what they say, to be laid over tissue."""
        if self.signed:
            return transparent_colours()
        colours = self.colour_map(np.linspace(0, 1, 257))
        # the square root: a third of the scale is seen well
        colours[:, 3] = OPACITY * np.sqrt(np.linspace(0, 1, 257))
        return ListedColormap(colours, name=f"{SEQUENTIAL} by value")

    @property
    def norm(self) -> Normalize:
        """From values to [0, 1]."""
        return Normalize(self.low, self.high, clip=True)

    @property
    def ticks(self) -> tuple[float, float, float]:
        """The values that a legend names."""
        return self.low, (self.low + self.high) / 2, self.high

    def rgb(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return opaque colours ``(…, 3)``, white where there is no value."""
        colours = self.colour_map(self.norm(np.nan_to_num(values, nan=self.low)), bytes=True)[..., :3].copy()
        colours[np.isnan(values)] = 255
        return colours

    def over(self, picture: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the map over a picture's grey levels, so that no colour is that of a stain.

        Args:
            picture: RGB, ``(H, W, 3)``.
            values: ``(H, W)``, NaN where there is none; there the picture keeps its grey.
        """
        grey = picture.astype(np.float64).mean(axis=2, keepdims=True)
        colours = self.overlay_map(self.norm(np.nan_to_num(values, nan=self.low)))
        opacity = np.where(np.isnan(values), 0.0, colours[..., 3])[..., None]
        return np.rint(grey * (1 - opacity) + 255 * colours[..., :3] * opacity).astype(np.uint8)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Five equal parts of the scale, the lowest first."""
        edges = np.linspace(self.low, self.high, 6)
        middles = self.colour_map((np.arange(5) + 0.5) / 5, bytes=True)[:, :3].tolist()
        words = SIGNED_WORDS if self.signed else UNSIGNED_WORDS
        return tuple(
            Level(word, float(low), float(high), (colour[0], colour[1], colour[2]))
            for word, low, high, colour in zip(words, edges[:-1], edges[1:], middles, strict=True)
        )

    def level_of(self, values: ArrayLike) -> NDArray[np.intp]:
        """Return the index of the level of each value."""
        inner = [level.low for level in self.levels[1:]]
        return np.searchsorted(inner, np.asarray(values, dtype=np.float64), side="right")
