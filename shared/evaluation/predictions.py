"""The predictions file: one CSV row per sample, with the same columns in every bundle.

Single-label: ``id, label, logit_<class>…, probability_<class>…, prediction, confidence, decision, reason``.
Labels and predictions are class names; the label is empty where no class is true (an outlier) or known.

Multi-label: ``id, label_<class>…, logit_<class>…, probability_<class>…, prediction_<class>…, confidence_<class>…,
decision_<class>…, prediction_after_alarm_<class>…, reason``. Labels are 0, 1 or empty, predictions 0 or 1.

Columns of a bundle's own may follow. Files written by inference have no label columns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from shared.data.errors import DataError
from shared.data.files import atomic_path

__all__ = [
    "DECISIONS",
    "is_multilabel",
    "multilabel_table",
    "prediction_classes",
    "predictions_table",
    "read_predictions",
    "validate_predictions",
    "write_predictions",
]

DECISIONS = ("accept", "defer", "reject")
SUM_TOLERANCE = 1e-5  # a float32 softmax sums to 1 within 1e-6
ROWS_NAMED = 5


def predictions_table(
    *,
    ids: Sequence[str],
    classes: Sequence[str],
    logits: ArrayLike,
    probabilities: ArrayLike,
    predictions: Sequence[str],
    confidence: ArrayLike,
    decisions: Sequence[str],
    reasons: Sequence[str],
    labels: Sequence[str] | None = None,
    extra: Mapping[str, Sequence[Any]] | None = None,
) -> pd.DataFrame:
    """Put single-label predictions into a table with the file's columns.

    Args:
        ids: name of each sample, ``N`` distinct strings.
        classes: the K class names.
        logits: ``(N, K)``; with Monte Carlo sampling the logarithm of the probability.
        probabilities: calibrated, ``(N, K)``.
        predictions: class name of each sample.
        confidence: in [0, 1], ``(N,)``.
        decisions: ``accept``, ``defer`` or ``reject``.
        reasons: why, in words.
        labels: true class names, empty where there is none; ``None`` leaves the column out.
        extra: further columns, N entries each.

    Raises:
        DataError: if a row is not valid, see :func:`validate_predictions`.
    """
    columns: dict[str, Any] = {"id": list(ids)}
    if labels is not None:
        columns["label"] = list(labels)
    columns |= _by_class("logit", logits, classes) | _by_class("probability", probabilities, classes)
    columns |= {
        "prediction": list(predictions),
        "confidence": np.asarray(confidence, dtype=np.float64),
        "decision": list(decisions),
        "reason": list(reasons),
    }
    return _table(columns, extra)


def multilabel_table(
    *,
    ids: Sequence[str],
    classes: Sequence[str],
    logits: ArrayLike,
    probabilities: ArrayLike,
    predictions: ArrayLike,
    confidence: ArrayLike,
    decisions: ArrayLike,
    predictions_after_alarm: ArrayLike,
    reasons: Sequence[str],
    labels: ArrayLike | None = None,
    extra: Mapping[str, Sequence[Any]] | None = None,
) -> pd.DataFrame:
    """Put multi-label predictions into a table with the file's columns.

    Args:
        ids: name of each sample, ``N`` distinct strings.
        classes: the K class names.
        logits: ``(N, K)``.
        probabilities: calibrated, ``(N, K)``; they need not sum to 1.
        predictions: 0 or 1, ``(N, K)``.
        confidence: in [0, 1], ``(N, K)``.
        decisions: ``accept``, ``defer`` or ``reject``, ``(N, K)``.
        predictions_after_alarm: 0 or 1, ``(N, K)``; equal to ``predictions`` where no alarm is raised.
        reasons: why, in words, one per sample.
        labels: 0, 1 or NaN for unknown, ``(N, K)``; ``None`` leaves the columns out.
        extra: further columns, N entries each.

    Raises:
        DataError: if a row is not valid, see :func:`validate_predictions`.
    """
    columns: dict[str, Any] = {"id": list(ids)}
    if labels is not None:
        # nullable integers: a known label must not become 1.0 because another is unknown
        columns |= {
            name: pd.array(values, dtype="Int64") for name, values in _by_class("label", labels, classes).items()
        }
    columns |= _by_class("logit", logits, classes) | _by_class("probability", probabilities, classes)
    columns |= _by_class("prediction", predictions, classes, np.int64)
    columns |= _by_class("confidence", confidence, classes)
    columns |= _by_class("decision", decisions, classes, object)
    columns |= _by_class("prediction_after_alarm", predictions_after_alarm, classes, np.int64)
    return _table(columns | {"reason": list(reasons)}, extra)


def write_predictions(path: str | os.PathLike[str], table: pd.DataFrame) -> None:
    """Write a predictions file, atomically; numbers are read back exactly.

    Raises:
        DataError: if the table is not valid, see :func:`validate_predictions`.
    """
    validate_predictions(table, source=path)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")


def read_predictions(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a predictions file; texts stay texts (a class ``NA``, an id ``007``).

    Raises:
        DataError: if the file is missing, is not a CSV file or holds rows that are not valid.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; evaluating or inferring writes it")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a valid CSV file ({error}); write it anew") from error
    multilabel = is_multilabel(table)
    texts = {"id", "reason", "kind", "donor", "source", "frame"}
    texts |= {name for name in table if name.startswith("decision")}
    texts |= set() if multilabel else {"label", "prediction"}
    required = set(_columns(prediction_classes(table), multilabel))
    for name in [name for name in table.columns if name not in texts]:
        numbers = _numbers(table[name])
        if numbers is None and name in required:
            raise DataError(f"{path}: column {name} must hold numbers, found {_first_text(table[name])!r}")
        if numbers is not None:
            table[name] = numbers.astype("Int64") if name.startswith("label_") else numbers
    validate_predictions(table, source=path)
    return table


def prediction_classes(table: pd.DataFrame) -> list[str]:
    """Return the class names of a predictions table, in the order of its probability columns."""
    prefix = "probability_"
    return [name.removeprefix(prefix) for name in table.columns if name.startswith(prefix)]


def is_multilabel(table: pd.DataFrame) -> bool:
    """Tell whether a predictions table holds one decision per class."""
    return "prediction" not in table.columns


def validate_predictions(table: pd.DataFrame, source: str | os.PathLike[str] = "predictions") -> None:
    """Check columns and rows.

    Args:
        table: a predictions table.
        source: what the messages call it, a file name as a rule.

    Raises:
        DataError: if columns are missing or in another order, an id is empty or occurs twice, a number is NaN, a
            probability or confidence is outside [0, 1], the probabilities of a single-label row do not sum to 1, or a
            label, prediction or decision is none of those allowed. The message names the first ids.
    """
    classes, multilabel = prediction_classes(table), is_multilabel(table)
    if not classes:
        raise DataError(f"{source}: no column probability_<class> found among {list(table.columns)}")
    labelled = any(name in table.columns for name in ("label", *(f"label_{name}" for name in classes)))
    expected = _columns(classes, multilabel, labelled)
    if list(table.columns[: len(expected)]) != expected:
        raise DataError(
            f"{source}: the columns must begin with {', '.join(expected)}; found {', '.join(map(str, table.columns))}"
        )

    def require(valid: ArrayLike, column: str, rule: str) -> None:
        wrong = table.index[~np.asarray(valid, dtype=bool)]
        if len(wrong):
            rows = [f"{table['id'][i]} ({table[column][i]!r})" for i in wrong[:ROWS_NAMED]]
            more = f" and {len(wrong) - ROWS_NAMED} more" if len(wrong) > ROWS_NAMED else ""
            raise DataError(f"{source}: {column} {rule}; found otherwise for id {', '.join(rows)}{more}")

    require(table["id"].map(lambda name: isinstance(name, str) and name != ""), "id", "must be a text")
    require(~table["id"].duplicated(keep=False), "id", "must occur once")
    for name in classes:
        logit, probability = table[f"logit_{name}"], table[f"probability_{name}"]
        # the logarithm of a probability that underflowed is -inf, and honest
        require(logit.notna() & (logit < np.inf), f"logit_{name}", "must be a number")
        require(probability.between(0, 1), f"probability_{name}", "must be in [0, 1]")
    if multilabel:
        for name in classes:
            require(table[f"confidence_{name}"].between(0, 1), f"confidence_{name}", "must be in [0, 1]")
            require(table[f"decision_{name}"].isin(DECISIONS), f"decision_{name}", f"must be one of {DECISIONS}")
            for column in (f"prediction_{name}", f"prediction_after_alarm_{name}"):
                require(table[column].isin([0, 1]), column, "must be 0 or 1")
            if labelled:
                label = table[f"label_{name}"]
                require(label.isin([0, 1]) | label.isna(), f"label_{name}", "must be 0, 1 or empty")
        return
    total = table[[f"probability_{name}" for name in classes]].sum(axis=1)
    require(
        (total - 1).abs() <= SUM_TOLERANCE, f"probability_{classes[0]}", "and those of the other classes must sum to 1"
    )
    require(table["prediction"].isin(classes), "prediction", f"must be one of {classes}")
    require(table["confidence"].between(0, 1), "confidence", "must be in [0, 1]")
    require(table["decision"].isin(DECISIONS), "decision", f"must be one of {DECISIONS}")
    if labelled:
        require(table["label"].isin([*classes, ""]), "label", f"must be one of {classes}, or empty")


def _numbers(texts: pd.Series) -> pd.Series | None:
    """Return a column's numbers, exactly as written, or ``None`` for texts (``00003`` is the name of a frame)."""
    if _first_text(texts) is not None or texts.str.fullmatch(r"-?0\d+").any():
        return None
    if texts.str.fullmatch(r"-?\d+").all():
        return texts.astype(np.int64)
    # float() rounds correctly, which the CSV parser's fast path does not promise
    return texts.map(lambda text: float(text) if text else np.nan).astype(np.float64)


def _first_text(texts: pd.Series) -> str | None:
    wrong = texts[(texts != "") & pd.to_numeric(texts, errors="coerce").isna() & (texts.str.lower() != "nan")]
    return None if wrong.empty else wrong.iloc[0]


def _columns(classes: Sequence[str], multilabel: bool, labelled: bool = True) -> list[str]:
    def per_class(*prefixes: str) -> list[str]:
        return [f"{prefix}_{name}" for prefix in prefixes for name in classes]

    if multilabel:
        labels = per_class("label") if labelled else []
        own = per_class("prediction", "confidence", "decision", "prediction_after_alarm")
        return ["id", *labels, *per_class("logit", "probability"), *own, "reason"]
    labels = ["label"] if labelled else []
    return ["id", *labels, *per_class("logit", "probability"), "prediction", "confidence", "decision", "reason"]


def _by_class(prefix: str, values: ArrayLike, classes: Sequence[str], dtype: type = np.float64) -> dict[str, Any]:
    array: np.ndarray = np.asarray(values).astype(dtype)
    if array.ndim != 2 or array.shape[1] != len(classes):
        raise DataError(f"{prefix}: expected shape (N, {len(classes)}), found {array.shape}")
    return {f"{prefix}_{name}": array[:, index] for index, name in enumerate(classes)}


def _table(columns: Mapping[str, Any], extra: Mapping[str, Sequence[Any]] | None) -> pd.DataFrame:
    taken = sorted(set(columns) & set(extra or {}))
    if taken:
        raise DataError(f"further columns must have names of their own, found {taken}")
    lengths = {name: len(values) for name, values in {**columns, **(extra or {})}.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"all columns must be as long as there are samples, found {lengths}")
    table = pd.DataFrame({**columns, **(extra or {})})
    validate_predictions(table)
    return table
