"""What calibrating fitted, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.report.formats import number, percent
from shared.report.measures import read_number
from shared.report.sources import Sources

__all__ = ["fitted_in_words"]

_AT_BOUND = {
    "lower": (
        "Temperature at its bound: the validation samples are separated so well that no temperature fits best. It is "
        "kept where it adds no confidence."
    ),
    "upper": (
        "Temperature at its bound: on the validation samples the network is no better than chance, and next to no "
        "confidence is left."
    ),
}


def fitted_in_words(sources: Sources) -> list[str]:
    """Sentences on the temperature, the confidence that acceptance asks for and the outlier threshold.

    Raises:
        DataError: if a number of the calibration file is none.
    """
    temperature = sources.fitted("temperature")[0]
    sentences = [_AT_BOUND[temperature["bound"]]] if temperature.get("bound") in _AT_BOUND else []
    sentences += _acceptance(*sources.fitted("confidence"))
    outlier, where = sources.fitted("outlier")
    if outlier.get("kept") is not None:
        kept = percent(read_number(outlier["kept"], f"{where}.kept"))
        asked = outlier.get("inliers_kept")
        wanted = "" if asked is None else f" ({percent(read_number(asked, f'{where}.inliers_kept'))} were aimed at)"
        sentences.append(f"Not rejected: {kept} of the validation samples{wanted}.")
    return sentences


def _acceptance(fitted: Mapping[str, Any], where: str) -> list[str]:
    if fitted.get("target_risk") is None or "reached" not in fitted:
        return []

    def value(key: str) -> float:
        return read_number(fitted.get(key), f"{where}.{key}")

    target = percent(value("target_risk"))
    if not fitted["reached"]:
        return [f"Target risk of {target} not reached on the validation samples: nothing is accepted."]
    sentence = (
        f"Accepted from a confidence of {number(value('accept'))}: on the validation samples {percent(value('risk'))} "
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
