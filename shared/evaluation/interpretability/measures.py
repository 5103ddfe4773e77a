"""The five elements of interpretability, and every measure of them: one name and one meaning in all bundles.

The elements are those of Wang et al., A Framework for Interpretability in Machine Learning for Medical Imaging,
arXiv 2310.01685. What the paper leaves to the reader, which number stands for an element, is settled here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["COMPARED", "ELEMENTS", "ELEMENT_TITLES", "MEASURES", "Better", "Element", "Measure", "measures_of"]

Element = Literal[
    "localization", "visual_recognizability", "physical_attribution", "model_transparency", "actionability"
]
Better = Literal["higher", "lower"]

#: In the order in which they are reported.
ELEMENTS: tuple[Element, ...] = get_args(Element)

ELEMENT_TITLES: Mapping[Element, str] = {
    "localization": "Localization",
    "visual_recognizability": "Visual recognizability",
    "physical_attribution": "Physical attribution",
    "model_transparency": "Model transparency",
    "actionability": "Actionability",
}


@dataclass(frozen=True)
class Measure:
    """A number that stands for an element of interpretability.

    Attributes:
        name: its key in files.
        element: what it stands for.
        title: its name for readers.
        better: which direction is better; ``None`` for a number that describes and does not judge.
        words: what it says, in one sentence.
        of_method: whether each explanation method has its own; else it is one number of the model.
        bounds: lowest and highest possible value, ``None`` where there is none.
    """

    name: str
    element: Element
    title: str
    better: Better | None
    words: str
    of_method: bool = True
    bounds: tuple[float | None, float | None] = (0.0, 1.0)


def _named(*measures: Measure) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


_SIGNED = (-1.0, 1.0)
_ANY = (None, None)

MEASURES: Mapping[str, Measure] = _named(
    # localization: images
    Measure(
        "rank_accuracy", "localization", "Rank accuracy", "higher",
        "Of as many of the highest pixels as the cause has, the share that lies in the cause.",
    ),
    Measure(
        "localisation_auc", "localization", "Localisation AUC", "higher",
        "The probability that a pixel of the cause is higher than one elsewhere.",
    ),
    Measure(
        "mass_accuracy", "localization", "Relevance mass accuracy", "higher",
        "The share of positive attribution that lies in the cause.",
    ),
    Measure(
        "pointing_game", "localization", "Pointing game", "higher",
        "How often the highest pixel lies in the cause, or no farther from it than the tolerance that is stated.",
    ),
    Measure(
        "iou", "localization", "IoU", "higher",
        "Overlap of the map above a threshold with the cause; the threshold was chosen on validation samples.",
    ),
    # localization: instances of a bag
    Measure(
        "instance_auc", "localization", "AUC of instances", "higher",
        "The probability that a true instance has a higher value than another one.",
    ),
    Measure(
        "instance_ndcg", "localization", "NDCG of instances", "higher",
        "How far true instances stand at the top of the ranking.",
    ),
    Measure(
        "instance_ap", "localization", "Average precision of instances", "higher",
        "Mean precision over the ranks at which true instances stand.",
    ),
    Measure(
        "froc", "localization", "Lesion FROC", "higher",
        "Mean share of lesions found at 1/4, 1/2, 1, 2, 4 and 8 false positives a slide.",
    ),
    # visual recognizability
    Measure(
        "sparseness", "visual_recognizability", "Sparseness (Gini)", None,
        "0: attribution spread evenly; 1: all of it on one pixel or instance.",
    ),
    Measure(
        "entropy", "visual_recognizability", "Entropy", None,
        "Entropy of the attribution over the logarithm of the number of pixels or instances: 1 is spread evenly.",
    ),
    Measure(
        "background_share", "visual_recognizability", "Share on background", "lower",
        "Share of the attribution's magnitude on what cannot matter: background or padding.",
    ),
    Measure(
        "edge_agreement", "visual_recognizability", "Agreement with edges", None,
        "Rank correlation of the map's magnitude with the image's edges: near 1, the map is an edge detector.",
        bounds=_SIGNED,
    ),
    Measure(
        "noise_stability", "visual_recognizability", "Stability under noise", "higher",
        "Likeness of the attributions of a sample and of the same with little noise: structural similarity of maps, "
        "rank correlation of the values of instances.",
        bounds=_SIGNED,
    ),
    Measure(
        "seed_stability", "visual_recognizability", "Stability between trainings", "higher",
        "Likeness of the attributions by networks trained from different seeds: structural similarity of maps, rank "
        "correlation of the values of instances.",
        bounds=_SIGNED,
    ),
    Measure(
        "reader_study", "visual_recognizability", "Reader study", "higher",
        "What readers recognized in the maps.",
    ),
    # physical attribution
    Measure(
        "cause_share", "physical_attribution", "Share on the cause", "higher",
        "Share of the attribution's magnitude on what made the sample of its class.",
    ),
    Measure(
        "distractor_share", "physical_attribution", "Share on distractors", "lower",
        "Share of the attribution's magnitude on structures drawn to mislead.",
    ),
    Measure(
        "shortcut_share", "physical_attribution", "Share on the shortcut", "lower",
        "Share of the attribution's magnitude on a mark that goes with the class without causing it.",
    ),
    Measure(
        "output_response", "physical_attribution", "Response of the output", "higher",
        "Rank correlation of the logit with the strength of the cause, when it alone is altered.",
        of_method=False, bounds=_SIGNED,
    ),
    Measure(
        "map_response", "physical_attribution", "Response of the map", "higher",
        "Rank correlation of the attribution's share on the cause with the strength of the cause, when it alone is "
        "altered.",
        bounds=_SIGNED,
    ),
    Measure(
        "physical_correlation", "physical_attribution", "Relation to a measured quantity", None,
        "Rank correlation of the output with a physical measurement of the same sample.",
        of_method=False, bounds=_SIGNED,
    ),
    # model transparency
    Measure(
        "completeness_error", "model_transparency", "Completeness error", "lower",
        "How far the attributions are from adding up to what they shall explain, relative to it.",
        bounds=(0.0, None),
    ),
    Measure(
        "oracle_error", "model_transparency", "Error against the oracle", "lower",
        "Relative difference from the same rule computed independently.",
        bounds=(0.0, None),
    ),
    Measure(
        "cascading_randomisation", "model_transparency", "Randomised parameters", "lower",
        "Likeness of a map to that of the network with all its parameters randomised; near 1, the map does not depend "
        "on what was learnt.",
        bounds=_SIGNED,
    ),
    Measure(
        "random_logit", "model_transparency", "Random logit", "lower",
        "Likeness of the maps of two classes of one image; near 1, the map does not depend on the class.",
        bounds=_SIGNED,
    ),
    # actionability
    Measure(
        "deletion_auc", "actionability", "Deletion", "lower",
        "Mean probability of the class while the pixels are removed, the highest first.",
    ),
    Measure(
        "insertion_auc", "actionability", "Insertion", "higher",
        "Mean probability of the class while the pixels are put in, the highest first.",
    ),
    Measure(
        "aupc_drop", "actionability", "AUPC, dropped", "lower",
        "Mean probability of the class while instances are dropped, the highest first.",
    ),
    Measure(
        "aupc_add", "actionability", "AUPC, added", "higher",
        "Mean probability of the class while instances are added, the highest first.",
    ),
    Measure(
        "aopc_r", "actionability", "AOPC-R", "higher",
        "Mean drop of the probability while the highest instances are removed, less that of random orders.",
        bounds=_SIGNED,
    ),
    Measure(
        "calibration_error_before", "actionability", "Calibration error before", "lower",
        "Expected calibration error of the uncalibrated probabilities.", of_method=False,
    ),
    Measure(
        "calibration_error", "actionability", "Calibration error", "lower",
        "Expected calibration error of the probabilities as they are stated.", of_method=False,
    ),
    Measure(
        "coverage", "actionability", "Coverage at the wanted risk", "higher",
        "Share of samples whose prediction is accepted.", of_method=False,
    ),
    Measure(
        "accepted_risk", "actionability", "Error of the accepted", "lower",
        "Share of wrong predictions among the accepted.", of_method=False,
    ),
    Measure(
        "flag_precision", "actionability", "Precision of flags", "higher",
        "Share of flagged or deferred predictions that are wrong.", of_method=False,
    ),
    Measure(
        "flag_recall", "actionability", "Recall of flags", "higher",
        "Share of wrong predictions that are flagged or deferred.", of_method=False,
    ),
    Measure(
        "flag_gain", "actionability", "Gain by acting on flags", "higher",
        "Change of the result when flagged predictions are acted on.", of_method=False, bounds=_SIGNED,
    ),
    Measure(
        "outlier_auc", "actionability", "Outlier detection", "higher",
        "ROC AUC of known outliers against samples of the known classes.", of_method=False,
    ),
)  # fmt: skip

#: By these, methods are compared sample by sample: the file keeps their values of all samples.
COMPARED = frozenset({
    "rank_accuracy", "instance_ndcg", "localisation_auc", "instance_auc", "noise_stability", "cause_share",
    "insertion_auc", "deletion_auc", "aopc_r", "aupc_drop",
})  # fmt: skip


def measures_of(element: Element, names: Iterable[str] = MEASURES) -> list[Measure]:
    """Return the measures of an element among ``names``, in the order of reports.

    Example:
        >>> [measure.name for measure in measures_of("model_transparency", ["random_logit", "iou"])]
        ['random_logit']
    """
    wanted = set(names)
    return [measure for measure in MEASURES.values() if measure.element == element and measure.name in wanted]
