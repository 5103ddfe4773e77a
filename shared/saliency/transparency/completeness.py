"""Do the attributions of a sample add up to what they are meant to share out?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from shared.evaluation.bootstrap import bootstrap_interval
from shared.saliency.bags.bag_model import BagModel, full_precision, plain_features
from shared.saliency.base import evaluation_mode
from shared.saliency.baseline import baseline_images
from shared.saliency.integrated_gradients import IntegratedGradients
from shared.saliency.sanity.explained import Explained, ExplainedBags, ExplainedImages, Explanations
from shared.saliency.targets import class_scores
from shared.saliency.transparency.description import rule_of

__all__ = ["Completeness", "bias_share", "completeness", "relative_error"]

Floats = NDArray[np.float64]
_AFFINE = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm)


class Completeness(NamedTuple):
    """What the attributions of each sample add up to, and what they should.

    Attributes:
        total: ``(B,)``.
        expected: ``(B,)``, in units of the logit.
        whole: what is expected, in words.
    """

    total: Floats
    expected: Floats
    whole: str


def completeness(explained: Explained, original: Explanations) -> dict[str, Completeness]:
    """Compare sums with wholes, for the methods whose rule claims that they are equal.

    Input × gradient and LRP are meant to share out the logit, which they do as far as no bias (and no ε) takes a share;
    integrated gradients the difference of the logit from that of the baseline; Shapley values its difference from that
    of the empty bag.

    Args:
        explained: samples, methods and network.
        original: explanations of the network itself.

    Returns:
        By method, without those that make no such claim.
    """
    if isinstance(explained, ExplainedImages):
        expected = _image_wholes(explained)
    elif isinstance(explained, ExplainedBags):
        expected = _bag_wholes(explained)
    else:
        raise TypeError(f"expected ExplainedImages or ExplainedBags, found {type(explained).__name__}")
    return {
        name: Completeness(np.array([np.sum(one, dtype=np.float64) for one in original[name]]), values, whole)
        for name, (values, whole) in expected.items()
    }


def relative_error(found: Completeness, groups: ArrayLike | None = None, seed: int = 0) -> dict[str, Any]:
    """Return ``Σ_b |total_b − expected_b| / Σ_b |expected_b|`` with its interval, ready for a row.

    A ratio of sums, because a single sample's whole may be close to 0.

    Args:
        found: of the samples.
        groups: patient or donor of each sample ``(B,)``, if samples belong together.
        seed: of the bootstrap.
    """
    gap, size = np.abs(found.total - found.expected), np.abs(found.expected)
    if not size.sum() > 0:
        return {"value": None, "reason": "what is to be shared out is 0 in every sample", "n": len(gap)}
    interval = bootstrap_interval(_ratio, [gap, size], groups=groups, seed=seed)
    return {**interval.to_json(), "n": len(gap)}


def bias_share(network: nn.Module, images: torch.Tensor, targets: torch.Tensor) -> Floats:
    """Return what the biases contribute to the explained logit of each image, ``Σ b ∂S/∂b``, ``(B,)``.

    For a network of affine layers, rectifiers and maximum pooling ``S = Σ x ∂S/∂x + Σ b ∂S/∂b`` (Euler's theorem for
    what is homogeneous in x and b together): the ledger of input × gradient. The bias of batch normalisation is
    ``β − γ μ / sqrt(σ² + ε)``. It is found for all images in one forward and one backward pass, from the gradient at
    the output of each layer.

    Args:
        network: biases are looked for in its linear layers, convolutions and batch normalisation.
        images: ``(B, C, H, W)``.
        targets: class of each image ``(B,)``.
    """
    probes: list[tuple[torch.Tensor, torch.Tensor]] = []

    def probe(module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor | None:
        bias = _bias(module)
        if bias is None:
            return None
        # the gradient at 0 added to the output is that at the output, which may be changed in place later
        added = torch.zeros_like(output, requires_grad=True)
        probes.append((bias, added))
        return output + added

    hooks = [module.register_forward_hook(probe) for module in network.modules() if isinstance(module, _AFFINE)]
    try:
        with torch.enable_grad(), evaluation_mode(network):
            score = class_scores(network(images), targets).sum()
            gradients = torch.autograd.grad(score, [added for _, added in probes], allow_unused=True) if probes else ()
    finally:
        for hook in hooks:
            hook.remove()
    share = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    for (bias, _), gradient in zip(probes, gradients, strict=True):
        if gradient is None:
            continue
        # (B, F) of a linear layer, (B, F, h, w) of a convolution
        of_channels = gradient.double() if gradient.ndim == 2 else gradient.double().flatten(2).sum(dim=2)
        share += of_channels @ bias.double()
    return share.cpu().numpy()


def _ratio(weights: Floats, gap: Floats, size: Floats) -> Floats:
    total = weights @ size
    return np.divide(weights @ gap, total, out=np.full(len(weights), np.nan), where=total > 0)


def _bias(module: nn.Module) -> torch.Tensor | None:
    """Return what an affine layer adds, by channel ``(F,)``; ``None`` if nothing."""
    bias = getattr(module, "bias", None)
    if not isinstance(module, nn.modules.batchnorm._BatchNorm):
        return None if bias is None else bias.detach()
    if module.running_mean is None or module.running_var is None:
        return None
    scale = 1 if module.weight is None else module.weight.detach()
    shift = -scale * module.running_mean / (module.running_var + module.eps).sqrt()
    return shift if bias is None else bias.detach() + shift


@torch.no_grad()
def _image_wholes(explained: ExplainedImages) -> dict[str, tuple[Floats, str]]:
    found: dict[str, tuple[Floats, str]] = {}
    with evaluation_mode(explained.network):
        logits = _scores(explained, explained.images)
        for name, method in explained.methods.items():
            rule = rule_of(method)
            if rule is None or rule.whole is None:
                continue
            values = logits
            if isinstance(method, IntegratedGradients):
                values = logits - _scores(explained, baseline_images(explained.images, method.baseline))
            found[name] = (values, rule.whole)
    return found


def _scores(explained: ExplainedImages, images: torch.Tensor) -> Floats:
    """Return the explained logits ``(B,)``."""
    parts = zip(images.split(explained.batch_size), explained.targets.split(explained.batch_size), strict=True)
    scores = [class_scores(explained.network(part), targets) for part, targets in parts]
    return torch.cat(scores).double().cpu().numpy()


def _bag_wholes(explained: ExplainedBags) -> dict[str, tuple[Floats, str]]:
    found: dict[str, tuple[Floats, str]] = {}
    sizes: list[int] = explained.lengths.tolist()
    for name, method in explained.methods.items():
        rule = rule_of(method)
        if rule is None or rule.whole is None:
            continue
        with full_precision(explained.features), torch.no_grad():
            model = BagModel(explained.network, method.target)
            features = plain_features(explained.features)
            logits = torch.cat([_bag_logits(model, bag) for bag in features.split(sizes)])[:, method.target]
            if rule.whole == "difference from the empty bag":
                logits = logits - model.empty_logits()[method.target]
        found[name] = (logits.cpu().numpy(), rule.whole)
    return found


def _bag_logits(model: BagModel, bag: torch.Tensor) -> torch.Tensor:
    return model.level(model.encode(bag), torch.tensor([len(bag)], device=bag.device))
