# ruff: noqa: RUF001 - formulas
"""The rule of every explanation method, in words and as a formula, with its source: one table for all bundles.

Symbols: x the image or the features of a bag's instances x_i, S the explained logit, A_k the k-th feature map of a
layer, w_i the attention weight of an instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = ["METHOD_RULES", "MethodRule"]

Whole = Literal["logit", "difference from the baseline", "difference from the empty bag"]


class MethodRule(NamedTuple):
    """What a method computes.

    Attributes:
        rule: in words and as a formula.
        source: the paper.
        whole: what its attributions are meant to add up to; ``None`` where it makes no such claim.
        control: whether it explains nothing and is there to be beaten.
    """

    rule: str
    source: str
    whole: Whole | None = None
    control: bool = False


#: By the name of the class, in ``shared.saliency`` or ``shared.saliency.bags``.
METHOD_RULES: Mapping[str, MethodRule] = {
    # images
    "InputXGradient": MethodRule(
        "Gradient of the logit times the image: x ∂S/∂x.", "Shrikumar et al. 2016, arXiv:1605.01713", "logit"
    ),
    "GuidedBackpropagation": MethodRule(
        "Gradient of the logit; each rectifier passes on only what is positive in its input and in the gradient.",
        "Springenberg et al. 2015, arXiv:1412.6806",
    ),
    "GuidedBackpropagationXInput": MethodRule(
        "Guided backpropagation times the image.", "Sahasrabudhe et al. 2020, hal-03032875"
    ),
    "SmoothGrad": MethodRule(
        "Mean of the gradient of the logit over noisy copies of the image: 1/n Σ ∂S(x + ε)/∂x.",
        "Smilkov et al. 2017, arXiv:1706.03825",
    ),
    "IntegratedGradients": MethodRule(
        "Integral of the gradient on the straight way from a baseline x′ to the image: "
        "(x − x′) ∫₀¹ ∂S(x′ + a (x − x′))/∂x da.",
        "Sundararajan et al. 2017, arXiv:1703.01365",
        "difference from the baseline",
    ),
    "GradCAM": MethodRule(
        "Feature maps weighted by their mean gradient: ReLU(Σ_k w_k A_k), w_k the mean of ∂S/∂A_k over positions.",
        "Selvaraju et al. 2017, arXiv:1610.02391",
    ),
    "GradCAMPlusPlus": MethodRule(
        "Feature maps weighted by their positive gradients: ReLU(Σ_k w_k A_k), w_k = Σ α_k ReLU(∂S/∂A_k).",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
    ),
    "SmoothGradCAMPlusPlus": MethodRule(
        "Grad-CAM++ with gradients that are means over noisy copies of the image.",
        "Omeiza et al. 2019, arXiv:1908.01224",
    ),
    "ScoreCAM": MethodRule(
        "Feature maps weighted by the score of what the image shows through each of them: ReLU(Σ_k w_k A_k).",
        "Wang et al. 2020, arXiv:1910.01279",
    ),
    "FIMFScoreCAM": MethodRule(
        "Feature maps, each integrated with all others where it is high, weighted by the class's probability when all "
        "are seen through it.",
        "Li et al. 2023, IET Image Processing 17(3), 761–772",
    ),
    "EVET": MethodRule(
        "Mean of another method's maps over transformed versions of the image, brought back to its geometry.",
        "Oh et al. 2021, WACV",
    ),
    "LIME": MethodRule(
        "Coefficients of a weighted ridge regression of the logit on which superpixels are kept.",
        "Ribeiro et al. 2016, arXiv:1602.04938",
    ),
    "LRP": MethodRule(
        "Relevance of the logit divided backwards in each layer in proportion to what its inputs contributed: "
        "R_j = Σ_k w_jk x_j / (z_k ± ε) R_k; with γ what has the output's sign counts 1 + γ times.",
        "Bach et al. 2015, doi:10.1371/journal.pone.0130140; Montavon et al. 2019",
        "logit",
    ),
    "Occlusion": MethodRule(
        "What the logit loses when a window is covered, averaged over the windows that cover the pixel.",
        "Zeiler and Fergus 2014, arXiv:1311.2901",
    ),
    "RISE": MethodRule(
        "Mean score of randomly masked images, over the masks that show the pixel.",
        "Petsiuk et al. 2018, arXiv:1806.07421",
    ),
    "RandomMap": MethodRule("Normal noise that knows neither image nor network.", "control", control=True),
    "EdgeMap": MethodRule(
        "Magnitude of the Sobel gradient of the image; knows nothing of the network.",
        "control; Adebayo et al. 2018, arXiv:1810.03292",
        control=True,
    ),
    "UntrainedMap": MethodRule(
        "Another method's map of the same network with random weights; knows the image and the architecture.",
        "control; Adebayo et al. 2018, arXiv:1810.03292",
        control=True,
    ),
    # bags
    "AttentionWeights": MethodRule(
        "The weight that the pooling gives to the instance, w_i.", "Ilse et al. 2018, arXiv:1802.04712"
    ),
    "GradientXInput": MethodRule(
        "Gradient of the logit times the features, added over them: Σ_e x_ie ∂S/∂x_ie.",
        "Ancona et al. 2018, arXiv:1711.06104",
        "logit",
    ),
    "SmoothGradXInput": MethodRule(
        "Mean of gradient × input over noisy copies of the bag.", "Smilkov et al. 2017, arXiv:1706.03825"
    ),
    "ExactShapley": MethodRule(
        "Mean of what the instance adds to the logit of those before it, over all orders of the instances; exact, by a "
        "formula of the pooling.",
        "Shapley 1953",
        "difference from the empty bag",
    ),
    "SubsetShapley": MethodRule(
        "Mean of what the instance adds to the logit of random sets of the others, whose size is uniform.",
        "Shapley 1953",
        "difference from the empty bag",
    ),
    "BagLRP": MethodRule(
        "Relevance of the logit divided backwards by LRP-ε or LRP-γ through head, pooling and encoder, by way of the "
        "values and, unless detached, of the attention.",
        "Bach et al. 2015, doi:10.1371/journal.pone.0130140; Ali et al. 2022, arXiv:2202.07304",
        "logit",
    ),
    "LRPAttention": MethodRule(
        "Logarithm of the magnitude of LRP, scaled to [0, 1], plus the attention, scaled to [−1, 1].",
        "a combination published in words, in the reading of shared.saliency.bags.lrp_attention",
    ),
    "InstanceScore": MethodRule("The logit of the bag that holds this instance only: S({x_i}).", "by definition"),
    "LeaveOneOut": MethodRule(
        "How far the logit falls without the instance: S(X) − S(X without x_i).", "by definition"
    ),
    "UntrainedValues": MethodRule(
        "Another method's values of the same model with random weights; knows the features and the architecture.",
        "control; Adebayo et al. 2018, arXiv:1810.03292",
        control=True,
    ),
    "RandomValues": MethodRule("Normal noise that knows neither bag nor model.", "control", control=True),
}
