"""The report's words: titles of measures, notes on methods, confidence in words, and what to run for a missing part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = [
    "CONFIDENCE_WORDS",
    "DECISION_WORDS",
    "HEADLINE",
    "HEADLINE_OF_TWO",
    "MAIN_ERRORS",
    "command",
    "confidence_in_words",
    "failed_in_words",
    "measure_title",
    "method_notes",
]

#: Measures that stand at the top when they were measured, the most telling first.
HEADLINE = ("macro_f1", "f1", "macro_roc_auc", "roc_auc", "accuracy", "balanced_accuracy")

#: The same where one of two classes is the one to be found.
HEADLINE_OF_TWO = ("roc_auc", "balanced_accuracy", "sensitivity", "specificity")

#: Calibration measures in the first table; the others follow on demand.
MAIN_ERRORS = (
    "top_label_l1_equal_width",
    "classwise_l1_equal_width",
    "l1_equal_width",
    "top_label_max_equal_width",
    "max_equal_width",
    "brier",
    "negative_log_likelihood",
)

_MEASURES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "auroc": "AUROC",
    "roc_auc": "ROC AUC",
    "macro_roc_auc": "Macro ROC AUC",
    "negative_log_likelihood": "Negative log-likelihood",
    "accepted_accuracy": "Accuracy of the accepted",
    "accepted_share": "Share accepted",
    "kept_share": "Share not rejected",
    "aurc": "Area under the curve of risk over coverage",
    "balanced_accuracy": "Balanced accuracy",
    "brier": "Brier score",
    "f1": "F1",
    "fpr95": "FPR95",
    "localisation_auc": "Localisation AUC",
    "localisation_lead": "Lead in localisation AUC over the other classes' maps",
    "localization_auc": "Localisation AUC",
    "macro_f1": "Macro F1",
    "pointing_game": "Pointing game",
    "rank_accuracy": "Rank accuracy",
    "mass_accuracy": "Relevance mass accuracy",
    "relevance_mass": "Relevance mass",
    "score": "Combined score",
    "instance_auc": "AUC of instances",
    "instance_ndcg": "NDCG of instances",
    "instance_ap": "Average precision of instances",
    "aupc_drop": "AUPC, dropped",
    "aupc_add": "AUPC, added",
    "aopc_r": "AOPC-R",
    "froc": "Lesion FROC",
    "peak_ratio": "Peak against positive",
    "sets_against_majority": "Share of sets that differ from the majority",
    "patients_with_disagreement": "Share of patients with a set that differs",
    "probability_spread": "Standard deviation of the probability between sets",
    "set_accuracy": "Accuracy of single sets",
    "majority_accuracy": "Accuracy of the majority",
    "effective_instances": "Effective number of instances",
    "effective_share": "Effective share of instances",
    "gini": "Gini coefficient",
    "largest_weight": "Largest weight",
}
_NORMS = {
    "l1": "Expected calibration error",
    "l2": "Root-mean-square calibration error",
    "max": "Maximum calibration error",
}
_CALIBRATION_ERROR = re.compile(r"(?:(top_label|classwise)_)?(l1|l2|max)_(equal_width|equal_mass)")
_METHOD_NOTES: Mapping[str, str] = {
    "evet": (
        "EVET is written after the abstract of its paper: the set of transformations and how their maps are averaged "
        "are choices made here."
    ),
    "fimf_score_cam": (
        "FIMF Score-CAM is written after the abstract of its paper and may differ from the paper in detail."
    ),
}
_ABBREVIATIONS = {
    word.lower(): word for word in ("ECE", "AUC", "ROC", "AUROC", "AURC", "F1", "NLL", "MCE", "LIME", "IoU", "CAM")
}

#: Lower ends of the chance-corrected confidence and what they are called.
CONFIDENCE_WORDS = ((0.95, "very high"), (0.8, "high"), (0.5, "moderate"), (0.2, "low"), (0.0, "very low"))

#: What becomes of an answer.
DECISION_WORDS: Mapping[str, str] = {
    "accept": "Accepted",
    "defer": "Deferred to a person",
    "reject": "Rejected as nothing that the model was made for",
}

_COMMANDS = {
    "calibrating": "['bundles/{0}/configs/train.json','bundles/{0}/configs/calibrate.json']",
    "evaluating": "['bundles/{0}/configs/train.json','bundles/{0}/configs/evaluate.json']",
    "explaining": "['bundles/{0}/configs/inference.json','bundles/{0}/configs/explain.json']",
}


def command(station: str, bundle: str) -> str:
    """Return the command that runs ``calibrating``, ``evaluating`` or ``explaining`` of a bundle."""
    return f'python -m monai.bundle run {station} --config_file "{_COMMANDS[station].format(bundle)}"'


def measure_title(name: str) -> str:
    """Title of a measure; parts of a nested name are set apart.

    Example:
        >>> measure_title("macro_f1"), measure_title("f1.monocyte"), measure_title("mean_ece")
        ('Macro F1', 'F1 · monocyte', 'Mean ECE')
        >>> measure_title("top_label_l1_equal_width")
        'Expected calibration error (top label, equal width)'
    """
    head, *rest = name.split(".")
    error = _CALIBRATION_ERROR.fullmatch(head)
    if error:
        of, norm, bins = error.groups()
        detail = [part.replace("_", " ") for part in (of, bins) if part]
        return " · ".join([f"{_NORMS[norm]} ({', '.join(detail)})", *rest])
    words = [_ABBREVIATIONS.get(word.lower(), word) for word in head.split("_")]
    spelled = " ".join(words)
    return " · ".join([_MEASURES.get(head, spelled[:1].upper() + spelled[1:]), *rest])


def method_notes(names: Iterable[str]) -> list[str]:
    """What to know of explanation methods before their maps are taken for the paper's, for those that need it.

    Example:
        >>> [note.split(":")[0] for note in method_notes(["lime", "evet"])]
        ['EVET is written after the abstract of its paper']
    """
    return [_METHOD_NOTES[name.lower()] for name in names if name.lower() in _METHOD_NOTES]


def confidence_in_words(confidence: float) -> str:
    """Name a chance-corrected confidence in [0, 1] by the scale ``CONFIDENCE_WORDS``.

    Example:
        >>> confidence_in_words(0.97), confidence_in_words(0.5), confidence_in_words(0.0)
        ('very high', 'moderate', 'very low')
    """
    return next((words for low, words in CONFIDENCE_WORDS if confidence >= low), CONFIDENCE_WORDS[-1][1])


def failed_in_words(failed: Iterable[str], control: bool) -> list[str]:
    """Return the sanity checks that a method failed as readers see them; of a control that is as it should be.

    Example:
        >>> failed_in_words(["Likeness 0.9 is not below 0.5."], control=False)
        ['FAILED: Likeness 0.9 is not below 0.5.']
        >>> failed_in_words(["Likeness 0.9 is not below 0.5."], control=True)
        ['Control, as expected: Likeness 0.9 is not below 0.5.']
    """
    return [f"{'Control, as expected' if control else 'FAILED'}: {sentence}" for sentence in failed]
