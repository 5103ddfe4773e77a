"""What alarms are called where people read; their names in files are keys."""

from __future__ import annotations

from collections.abc import Mapping

from shared.saliency.titles import method_title

__all__ = ["alarm_title"]

TITLES: Mapping[str, str] = {
    "no_alarm": "No alarm",
    "random": "Threshold searched on noise (control)",
    "moved_threshold": "Moved decision threshold (control)",
    "entropy": "Predictive entropy",
    "calibrated_entropy": "Entropy of the calibrated probability",
    "maximum_probability": "Maximum probability",
    "error_probability": "Probability of an error",
    "test_time_augmentation": "Test-time augmentation",
    "monte_carlo_dropout": "Monte Carlo dropout",
}
#: what stands before the name of a saliency method, the longer first
OF_METHODS: Mapping[str, str] = {
    "pair_classifier_entropy_": "Classifier on distances and entropy",
    "pair_classifier_": "Classifier on distances",
    "informer_entropy_": "INFORMER with entropy",
    "informer_logit_": "INFORMER with the logit",
    "informer_steps_": "INFORMER in steps",
    "informer_": "INFORMER",
}


def alarm_title(name: str) -> str:
    """Return the proper name of an alarm, or its key in words.

    Example:
        >>> alarm_title("informer_lrp"), alarm_title("entropy"), alarm_title("pair_classifier_grad_cam")
        ('INFORMER, LRP', 'Predictive entropy', 'Classifier on distances, Grad-CAM')
    """
    if name in TITLES:
        return TITLES[name]
    for prefix, title in OF_METHODS.items():
        if name.startswith(prefix):
            return f"{title}, {method_title(name.removeprefix(prefix))}"
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
