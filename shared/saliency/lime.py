"""LIME on superpixels, and how much its maps depend on the seed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from skimage.segmentation import slic
from sklearn.linear_model import Ridge
from torch import nn

from shared.saliency.base import Attribution, ClassMaps
from shared.saliency.baseline import Baseline, baseline_images
from shared.saliency.map_similarity import rank_correlation
from shared.saliency.targets import resolve_classes, resolve_target

__all__ = ["LIME", "lime_stability", "superpixels"]


class LIME(Attribution):
    """LIME (Ribeiro et al. 2016) on SLIC superpixels; signed.

    Random subsets of the superpixels are kept and the others replaced by the baseline; a ridge regression of the logit
    on the subsets, weighted by their nearness to the whole image, gives each superpixel its coefficient, which all its
    pixels carry. Nearness is ``exp(-D^2 / width^2)`` with ``D`` the cosine distance of the subset, as a binary vector,
    from the whole. The network runs once on each perturbed image, however many classes are explained.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        segments: approximate number of superpixels.
        compactness: SLIC's balance of nearness against likeness, for grey values in [0, 1].
        smoothing: standard deviation in pixels of the Gaussian that SLIC applies first; on noisy images without it,
            superpixels fall apart and are merged into few.
        samples: number of subsets per image.
        kernel_width: width of the kernel.
        alpha: penalty of the ridge regression; the intercept is not penalised.
        baseline: what replaces a superpixel: a grey value, ``"mean"`` or ``"minimum"`` of each image.
        seed: seed of the subsets, which are the same for every image; the global random state is left as it was.
        chunk_size: largest number of perturbed images in memory at once.

    Raises:
        ValueError: if a number is out of its range; in ``attribute``, if an image has a single superpixel.
    """

    def __init__(
        self,
        network: nn.Module,
        segments: int = 50,
        compactness: float = 0.1,
        smoothing: float = 1.0,
        samples: int = 500,
        kernel_width: float = 0.25,
        alpha: float = 1.0,
        baseline: Baseline = 0.0,
        seed: int = 0,
        chunk_size: int = 64,
    ) -> None:
        super().__init__(network)
        if segments < 2 or samples < 2 or chunk_size < 1:
            raise ValueError(
                f"segments and samples must be at least 2 and chunk_size 1, found {segments}, {samples}, {chunk_size}"
            )
        if compactness <= 0 or kernel_width <= 0 or smoothing < 0 or alpha < 0:
            raise ValueError(
                "compactness and kernel_width must be positive, smoothing and alpha not negative, "
                f"found {compactness}, {kernel_width}, {smoothing}, {alpha}"
            )
        self.segments = segments
        self.compactness = compactness
        self.smoothing = smoothing
        self.samples = samples
        self.kernel_width = kernel_width
        self.alpha = alpha
        self.baseline = baseline
        self.seed = seed
        self.chunk_size = chunk_size

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        logits = self.predict(images)
        targets = resolve_target(logits, target)
        coefficients = self._coefficients(images, targets[:, None])
        return coefficients[:, 0]

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        logits = self.predict(images)
        chosen = torch.tensor(resolve_classes(logits, classes), device=images.device)
        return ClassMaps(logits, self._coefficients(images, chosen.expand(len(images), -1)))

    def _coefficients(self, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Return the maps ``(B, n, C, H, W)`` of each image's n classes ``(B, n)``."""
        baselines = baseline_images(images, self.baseline)
        maps = []
        for image, start, chosen in zip(images, baselines, classes, strict=True):
            regions = superpixels(image, self.segments, self.compactness, self.smoothing).to(images.device)  # (H, W)
            if int(regions.max()) == 0:
                raise ValueError("SLIC found a single superpixel: raise segments, compactness or smoothing")
            kept = self._subsets(int(regions.max()) + 1).to(images.device)  # (S, M)
            outputs = torch.cat(
                [
                    self.predict(torch.where(part[:, regions][:, None], image, start))[:, chosen]
                    for part in kept.split(self.chunk_size)
                ]
            )  # (S, n)
            fitted = Ridge(alpha=self.alpha).fit(
                kept.cpu().double().numpy(), outputs.cpu().double().numpy(), sample_weight=self._nearness(kept)
            )
            coefficients = torch.from_numpy(fitted.coef_.reshape(len(chosen), -1)).to(images)  # (n, M)
            maps.append(coefficients[:, regions][:, None].expand(-1, *image.shape))
        return torch.stack(maps)

    def _subsets(self, regions: int) -> torch.Tensor:
        """Return which of M superpixels each subset keeps, ``(S, M)``."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randint(2, (self.samples, regions), generator=generator).bool()

    def _nearness(self, kept: torch.Tensor) -> np.ndarray:
        """Return the nearness ``(S,)`` of subsets to the whole; the cosine of the two is sqrt(|subset| / M)."""
        distance = 1 - kept.double().mean(dim=1).sqrt()
        return torch.exp(-((distance / self.kernel_width) ** 2)).cpu().numpy()


def superpixels(image: torch.Tensor, segments: int, compactness: float, smoothing: float) -> torch.Tensor:
    """Divide an image into SLIC superpixels (``skimage.segmentation.slic``).

    Args:
        image: ``(C, H, W)``; its range of values is brought to [0, 1] first, so that compactness has one meaning.
        segments: approximate number of superpixels.
        compactness: balance of nearness against likeness.
        smoothing: standard deviation in pixels of the Gaussian applied first, 0 for none.

    Returns:
        Region of each pixel ``(H, W)``, numbered from 0 without gaps.
    """
    values = image.detach().cpu().double().numpy()
    spread = np.ptp(values)
    values = (values - values.min()) / (spread if spread > 0 else 1.0)
    grey = values.shape[0] == 1
    regions = slic(
        values[0] if grey else np.moveaxis(values, 0, -1),
        n_segments=segments,
        compactness=compactness,
        sigma=smoothing,
        channel_axis=None if grey else -1,
        convert2lab=False,
        start_label=0,
    )
    _, numbered = np.unique(regions, return_inverse=True)
    return torch.from_numpy(numbered.reshape(regions.shape).astype(np.int64))


def lime_stability(
    lime: LIME, inputs: torch.Tensor, target: int | torch.Tensor | None = None, seeds: Sequence[int] = (0, 1, 2, 3, 4)
) -> torch.Tensor:
    """Measure how far LIME's maps agree when only the seed changes.

    Args:
        lime: the method; its own seed is not used.
        inputs: images ``(B, C, H, W)``.
        target: as in ``attribute``.
        seeds: at least two different seeds.

    Returns:
        For each image, ``(B,)``, the mean over all pairs of seeds of Spearman's rank correlation of the two maps: 1 for
        the same ranking of the pixels, 0 for unrelated ones, NaN if a map is constant.

    Raises:
        ValueError: if there are fewer than two different seeds.
    """
    if len(set(seeds)) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError(f"stability needs at least two seeds, all different, found {list(seeds)}")
    maps = []
    for seed in seeds:
        reseeded = copy.copy(lime)
        reseeded.seed = seed
        maps.append(reseeded.attribute(inputs, target).flatten(1).double().cpu().numpy())  # (B, C * H * W)
    correlations = [rank_correlation(first, second) for first, second in combinations(maps, 2)]
    return torch.from_numpy(np.mean(correlations, axis=0))
