"""Whether maps and draws know anything of a finding that its logit does not know: the most that an alarm could use.

An alarm on the logit alone is a moved threshold at best. So of each network a logistic regression learns the label from
the finding's logit and further information, on the validation images, and its forecast of the test images is compared
with that from the logit alone. The findings' other logits are a control: they cost nothing, and a map that tells no
more than they do is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scripts.alarms.distinctiveness import distinctiveness
from scripts.alarms.doubt_table import Doubts
from scripts.study.areas import areas_within_parts
from scripts.study.cells import POINTS, cell_of_interval
from shared.evaluation.bootstrap import bootstrap_interval
from shared.evaluation.multi_label import mean_of_defined
from shared.saliency.titles import method_title
from shared.study.table import Cell, Row, Section

__all__ = ["beyond_logit_section", "forecasts", "further_information", "log_likelihood"]

Floats = NDArray[np.float64]
Information = Callable[[Doubts, int], Floats]

ALONE = "the logit alone"
MILLI = 1000.0


def further_information(methods: Sequence[str], draws: Sequence[str]) -> dict[str, Information]:
    """Return what is known of a finding's prediction beside its logit, ``(N, F)``, by its name in words.

    What says how sure to be, and not which way, enters with its product with the logit as well: it may change the
    slope.

    Args:
        methods: saliency methods.
        draws: ``tta_std``, ``mc_std``, as far as they were collected.
    """
    titles = {"tta_std": "spread of test-time augmentation", "mc_std": "spread of Monte Carlo dropout"}
    found: dict[str, Information] = {ALONE: _nothing, "logits of the other findings (control)": _other_logits}
    found |= {titles[name]: partial(_spread, name) for name in draws}
    for method in methods:
        title = method_title(method)
        found[f"distinctiveness, {title}"] = partial(_distinctiveness, method)
        found[f"distances to the others, {title}"] = partial(_distances, method)
    return found


def forecasts(validation: Doubts, test: Doubts, information: Information) -> Floats:
    """Return the log odds of each finding in the test images, by logistic regressions on the validation images.

    Args:
        validation: fitted on, where the label is known.
        test: images to forecast.
        information: beside the finding's logit; what has no value there gets the validation images' mean.

    Returns:
        ``(N, K)``; a finding without two classes among the validation images keeps its logit.
    """
    result = test.logits.copy()
    for k in range(len(test.classes)):
        fitted, tested = (np.column_stack([t.logits[:, k], information(t, k)]) for t in (validation, test))
        label = validation.label[:, k]
        known = ~np.isnan(label)
        if len(np.unique(label[known])) < 2:
            continue
        present = ~np.isnan(fitted)
        means = np.where(present, fitted, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)  # 0 where nothing has one
        fitted, tested = (np.where(np.isnan(values), means, values) for values in (fitted, tested))
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        result[:, k] = model.fit(fitted[known], label[known]).decision_function(tested)
    return result


def log_likelihood(log_odds: Floats, label: Floats) -> Floats:
    """Return ``y log p + (1 - y) log(1 - p)`` in nats, same shape; NaN where the label is unknown."""
    return np.where(np.isnan(label), np.nan, np.where(label == 1, log_expit(log_odds), log_expit(-log_odds)))


def beyond_logit_section(
    name: str, tables: Sequence[tuple[Doubts, Doubts]], patients: NDArray[np.str_], resamples: int
) -> Section:
    """Compare forecasts from the logit and further information with those from the logit alone.

    Args:
        name: of the experiment, in words.
        tables: doubts of the validation and of the test images of each network.
        patients: patient of each test image, all networks one after the other ``(N,)``.
        resamples: bootstrap resamples.
    """
    first = tables[0][1]
    draws = [field for field in ("tta_std", "mc_std") if getattr(first, field) is not None]
    known = further_information(list(first.distances), draws)
    scores = {
        words: np.concatenate([forecasts(validation, test, information) for validation, test in tables])
        for words, information in known.items()
    }
    label = np.concatenate([test.label for _, test in tables])
    part = np.repeat(np.arange(len(tables)), [len(test) for _, test in tables])
    alone = scores.pop(ALONE)
    rows = [
        Row({"beside the logit": words}, _gains(values, alone, label, part, patients, resamples))
        for words, values in scores.items()
    ]
    return Section(
        f"What is known beyond the logit, {name}",
        "Logistic regressions on each network's validation images forecast its test images, from the finding's logit "
        "with and without further information. Gain: area under the ROC curve in hundredths, and log-likelihood of the "
        "label in thousandths of a nat, means over the findings, paired by patient. Where both intervals hold 0, no "
        "alarm that is made of this information can be expected to beat a moved threshold.",
        rows,
    )


def _gains(
    scores: Floats, alone: Floats, label: Floats, part: NDArray[np.integer], patients: NDArray[np.str_], resamples: int
) -> Mapping[str, Cell]:
    gain = log_likelihood(scores, label) - log_likelihood(alone, label)
    known = ~np.isnan(gain)

    def statistic(weights: Floats, *_: Floats) -> Floats:
        areas = [areas_within_parts(weights, label, values, part)[:, -1] for values in (scores, alone)]
        total = weights @ known.astype(np.float64)
        mean = np.divide(weights @ np.where(known, gain, 0.0), total, out=np.full(total.shape, np.nan), where=total > 0)
        return np.stack([POINTS * (areas[0] - areas[1]), MILLI * mean_of_defined(mean)], axis=1)

    found = bootstrap_interval(statistic, [label], resamples=resamples, groups=patients)
    n, networks = len(label), len(np.unique(part))
    return {
        "gain of AUC": cell_of_interval(found[0], n, networks),
        "gain of log-likelihood": cell_of_interval(found[1], n, networks),
    }


def _nothing(table: Doubts, _: int) -> Floats:
    return np.empty((len(table), 0))


def _other_logits(table: Doubts, finding: int) -> Floats:
    return np.delete(table.logits, finding, axis=1)


def _spread(name: str, table: Doubts, finding: int) -> Floats:
    return _with_product(getattr(table, name)[:, [finding]], table, finding)


def _distinctiveness(method: str, table: Doubts, finding: int) -> Floats:
    return _with_product(distinctiveness(table.distances[method])[:, [finding]], table, finding)


def _distances(method: str, table: Doubts, finding: int) -> Floats:
    return _with_product(np.delete(table.distances[method][:, finding], finding, axis=1), table, finding)


def _with_product(values: Floats, table: Doubts, finding: int) -> Floats:
    return np.concatenate([values, values * table.logits[:, [finding]]], axis=1)
