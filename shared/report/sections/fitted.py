"""What calibrating fitted: a table, sentences, and a warning where the temperature says that something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.report.flat_rows import flat_rows
from shared.report.formats import number, percent, significant
from shared.report.measures import read_number
from shared.report.recorded_weights import recorded_calibrations
from shared.report.sources import Sources

__all__ = ["bound_warning", "fitted_in_words", "temperature_rows", "why_no_calibration"]

_TITLES = {
    "value": "Temperature T",
    "loss_before": "Mean negative log-likelihood at T = 1, in nats",
    "loss_after": "Mean negative log-likelihood at the fitted T, in nats",
    "gradient": "Slope of that loss over log T at the fitted T (0 at a minimum)",
    "n": "Samples that T was fitted on",
    "samples": "Monte Carlo samples for each image",
    "bound": "Bound that stopped the fit",
    "split": "Split that T was fitted on",
}

_AT_BOUND = {
    "lower": (
        "Temperature at its bound: the samples it was fitted on are separated so well that no temperature fits best. "
        "It is kept where it adds no confidence. Calibrate on more or harder samples."
    ),
    "upper": (
        "Temperature at its bound: on the samples it was fitted on the network is no better than chance, and next to "
        "no confidence is left. Such a model can lie within the null bands below: that does not make it a good one. "
        "Check the weights and the order of the classes."
    ),
}


def temperature_rows(sources: Sources) -> list[tuple[str, str]]:
    """Rows of the fitted temperature: names for readers, numbers to four significant digits; other keys as they are."""
    rows = []
    for key, value in sources.fitted("temperature")[0].items():
        if key in _TITLES and (value is None or isinstance(value, str)):
            rows.append((_TITLES[key], value or "none"))
        elif key in _TITLES and isinstance(value, int | float):
            rows.append((_TITLES[key], significant(value)))
        else:
            rows += flat_rows({key: value})
    return rows


def bound_warning(sources: Sources) -> str | None:
    """What a temperature at its bound means; ``None`` for any other."""
    bound = sources.fitted("temperature")[0].get("bound")
    if bound is None:
        return None
    return _AT_BOUND.get(str(bound), f"Temperature at its bound ({bound}): the loss has no minimum within the bounds.")


def why_no_calibration(sources: Sources) -> str | None:
    """Say which calibration the results name where none that belongs to them is at hand.

    Returns:
        ``None`` if nothing tells that the results were made with a calibration: there may be none yet.
    """
    for name, content in (("metrics.json", sources.metrics), ("explanations/index.json", sources.explanations)):
        for digest, file in recorded_calibrations(content or {}).items():
            return f"{name} was made with {file} (SHA-256 {digest[:12]}): name that file with --calibration-file."
    if sources.left_out or sources.measured("calibration")[0].get("after"):
        return "Name the calibration that the results were made with by --calibration-file."
    return None


def fitted_in_words(sources: Sources) -> list[str]:
    """Sentences on the confidence that acceptance asks for and the outlier threshold.

    Raises:
        DataError: if a number of the calibration file is none.
    """
    basis, _ = sources.fitted("fitted_on")
    split = str(basis.get("section") or "validation")
    sentences = _acceptance(*sources.fitted("confidence"), split)
    outlier, where = sources.fitted("outlier")
    if outlier.get("kept") is not None:
        kept = percent(read_number(outlier["kept"], f"{where}.kept"))
        asked = outlier.get("inliers_kept")
        wanted = "" if asked is None else f" ({percent(read_number(asked, f'{where}.inliers_kept'))} were aimed at)"
        sentences.append(f"Not rejected: {kept} of the {split} samples{wanted}.")
    if basis.get("note"):
        sentences.append(f"Fitted on the section {split}: {basis['note']}.")
    return sentences


def _acceptance(fitted: Mapping[str, Any], where: str, split: str) -> list[str]:
    if fitted.get("target_risk") is None or "reached" not in fitted:
        return []

    def value(key: str) -> float:
        return read_number(fitted.get(key), f"{where}.{key}")

    target = percent(value("target_risk"))
    if not fitted["reached"]:
        return [f"Target risk of {target} not reached on the {split} samples: nothing is accepted."]
    sentence = (
        f"Accepted from a confidence of {number(value('accept'))}: on the {split} samples {percent(value('risk'))} "
        f"of the accepted are wrong (target {target}), at a coverage of {percent(value('coverage'))}."
    )
    if fitted.get("guarantee") is None:
        return [sentence, "The target is met on the samples that the confidence was chosen on; there is no guarantee."]
    likely = percent(1 - value("guarantee"))
    bound = f"With probability {likely} the true risk is at most {percent(value('risk_bound'))}"
    divided = {None: ", nominally: the same samples gave temperature and thresholds."}.get(
        fitted.get("divided_by"), ", if new samples are of the same kind and independent of one another."
    )
    return [sentence, bound + divided]
