"""Where tissue is on a slide: Otsu's threshold on saturation, without ink, and what it misses where stain is pale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, threshold_otsu
from skimage.morphology import remove_small_holes, remove_small_objects

from scripts.slide import Slide
from shared.data.errors import DataError

__all__ = ["TissueDetection", "TissueMask", "ink_mask", "saturation"]

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class TissueMask:
    """Tissue of a slide.

    Args:
        mask: ``(H, W)``, an overview of the slide.
        downsample: pixels of level 0 that one of the mask's spans along each axis.
        threshold: of the saturation, 0 to 255.
        pale: whether the threshold is the one for pale slides.
    """

    mask: BoolArray
    downsample: float
    threshold: float
    pale: bool

    @property
    def share(self) -> float:
        """Share of the slide that is tissue."""
        return float(self.mask.mean())


@dataclass(frozen=True)
class TissueDetection:
    """Finds tissue on an overview.

    Otsu's threshold on the smoothed HSV saturation divides what is neither black (not scanned) nor ink into stained and
    unstained. On a pale slide a few strongly stained specks take the upper class for themselves and most tissue
    vanishes (normal_027 and normal_045 of CAMELYON16): if Otsu's tissue is less than ``pale_share`` of what rises
    above the glass, the threshold is that of the glass, its median plus ``pale_deviations`` robust standard deviations
    of its saturation.

    Where only a part of a section took little stain, Otsu's threshold makes a hole of it. What is connected with
    stained tissue is tissue too (hysteresis, Canny 1986) if the mean saturation of the unstained pixels within
    ``pale_um`` rises above the glass by ``pale_contrast`` of what the threshold does. The mean, without the stained
    pixels, tells it from glass beside them, and from fat, of which only the membranes are stained.

    Args:
        mpp: µm per pixel of the overview.
        lowest: least saturation of stained tissue, 0 to 255; Otsu's threshold and that of pale slides do not lie below.
        highest: greatest threshold.
        smoothing_um: standard deviation of the smoothing, µm.
        pale_share: see above.
        pale_deviations: see above.
        pale_contrast: see above; 1 leaves pale areas out.
        pale_um: side of the square around a pixel, µm; see above.
        black: greatest brightness (HSV value, 0 to 255) of what was not scanned.
        ink: leave pen marks out, see :func:`ink_mask`.
        smallest_um2: area of the least piece of tissue that counts, µm².
        hole_um2: area of the greatest hole in tissue that is filled, µm².
    """

    mpp: float = 8.0
    lowest: float = 8.0
    highest: float = 60.0
    smoothing_um: float = 8.0
    pale_share: float = 0.25
    pale_deviations: float = 6.0
    pale_contrast: float = 0.35
    pale_um: float = 56.0
    black: float = 20.0
    ink: bool = True
    smallest_um2: float = 20_000.0
    hole_um2: float = 10_000.0

    def __call__(self, slide: Slide) -> TissueMask:
        """Return the tissue of a slide.

        Raises:
            DataError: if there is none, or the slide cannot be read.
        """
        picture, downsample = slide.overview(self.mpp)
        found, threshold, pale = self.detect(picture, slide.mpp * downsample)
        if not found.any():
            raise DataError(
                f"{slide.path}: no tissue found (threshold of saturation {threshold:.0f} of 255); look at the slide; "
                "if it shows tissue, lower --tissue#lowest or --tissue#smallest_um2"
            )
        return TissueMask(found, downsample, threshold, pale)

    def detect(self, picture: NDArray[np.uint8], mpp: float) -> tuple[BoolArray, float, bool]:
        """Return the mask of tissue, the threshold of saturation and whether it is that of a pale slide.

        Args:
            picture: ``(H, W, 3)`` RGB.
            mpp: µm per pixel of it.
        """
        usable = _extremes(picture)[1] > self.black
        if self.ink:
            # ink is thicker than its edge, whose mixed colours would pass for tissue
            around = max(1, round(self.smoothing_um / mpp))
            usable &= ~ndimage.binary_dilation(ink_mask(picture), iterations=around)
        if not usable.any():
            return usable, self.lowest, False
        colour = saturation(picture)
        smooth = ndimage.gaussian_filter(colour, self.smoothing_um / mpp)
        threshold, glass, pale = self._threshold(smooth[usable])
        stained = (smooth > threshold) & usable
        del smooth  # an overview is of megapixels, and several of its size are needed next
        pixel = mpp**2
        mask = remove_small_objects(stained, max_size=int(self.smallest_um2 / pixel))
        if not pale:
            least = glass + self.pale_contrast * (threshold - glass)
            colour -= np.float32(least)
            mask = self._with_pale_areas(mask, colour, usable & ~stained, mpp)
        return remove_small_holes(mask, max_size=int(self.hole_um2 / pixel)) & usable, threshold, pale

    def _with_pale_areas(
        self, mask: BoolArray, excess: NDArray[np.float32], unstained: BoolArray, mpp: float
    ) -> BoolArray:
        """Return the mask with the pale tissue that is connected with it.

        Args:
            mask: of stained tissue.
            excess: of the saturation above the least of pale tissue; it is overwritten.
            unstained: pixels that are neither stained nor ink.
            mpp: µm per pixel.
        """
        side = 2 * round(self.pale_um / mpp / 2) + 1
        # their mean is above the least where the sum of their excess is positive
        excess[~unstained] = 0
        ndimage.uniform_filter(excess, side, output=excess)
        pale = excess > 0
        return apply_hysteresis_threshold(2 * mask.astype(np.uint8) + (pale & unstained), 0, 1)

    def _threshold(self, values: NDArray[np.float32]) -> tuple[float, float, bool]:
        """Return the threshold, the saturation of the glass, and whether the threshold is that of a pale slide."""
        otsu = threshold_otsu(np.clip(np.rint(values), 0, 255).astype(np.uint8))
        otsu = float(np.clip(otsu, self.lowest, self.highest))
        # most of what Otsu leaves is glass, even on a pale slide; the lower half of its values has no tissue in it
        glass = values[values <= otsu]
        middle = float(np.median(glass)) if len(glass) else 0.0
        deviation = 1.4826 * float(np.median(middle - glass[glass <= middle])) if len(glass) else 0.0
        stained = max(self.lowest, middle + self.pale_deviations * deviation)
        if stained < otsu and np.count_nonzero(values > otsu) < self.pale_share * np.count_nonzero(values > stained):
            return stained, middle, True
        return otsu, middle, False


def saturation(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the HSV saturation, ``255 (max − min) / max`` of the three colours, ``(H, W)``; 0 where all are 0.

    Example:
        >>> saturation(np.array([[[200, 100, 150], [0, 0, 0]]], dtype=np.uint8)).tolist()
        [[127.5, 0.0]]
    """
    least, greatest = _extremes(picture)
    result = (greatest - least).astype(np.float32)
    result *= 255
    result /= np.maximum(greatest, 1)
    return result


def ink_mask(picture: NDArray[np.uint8], margin: int = 15, dark: int = 90, grey: int = 30) -> BoolArray:
    """Return what is pen and no stain, ``(H, W)``.

    Haematoxylin and eosin both absorb green the most: the green channel of stained tissue is its lowest. Green and
    turquoise ink leave red the lowest, by ``margin``; blue ink leaves blue the highest by four times as much, and green
    no lower than red but for half of it. Black ink is darker than ``dark`` in all channels with less
    than ``grey`` between them.

    Args:
        picture: ``(H, W, 3)`` RGB.
        margin: least difference of green to red of green ink; see above.
        dark: greatest value of black ink.
        grey: greatest difference of the channels of black ink.

    Example:
        >>> colours = {"tissue": (180, 110, 160), "nucleus": (80, 50, 120), "green": (60, 140, 90),
        ...            "blue": (40, 45, 150), "black": (40, 40, 45)}
        >>> ink_mask(np.array([list(colours.values())], dtype=np.uint8)).tolist()
        [[False, False, True, True, True]]
    """
    red, green, blue = (picture[:, :, channel].astype(np.int16) for channel in range(3))
    coloured = (green > red + margin) | ((blue > red + 4 * margin) & (green > red - margin / 2))
    least, greatest = _extremes(picture)
    return coloured | ((greatest < dark) & (greatest - least < grey))


def _extremes(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the least and the greatest of the three colours of each pixel, both ``(H, W)``."""
    # several times as fast as along the last axis
    red, green, blue = (picture[:, :, channel] for channel in range(3))
    return np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
