"""Standard classifiers on the age and the lymphocyte count of a patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from shared.data.errors import DataError

__all__ = ["attribute_classifiers", "attribute_inputs"]


def attribute_inputs(attributes: NDArray, log_count: bool = True) -> NDArray[np.float64]:
    """Check the attributes, and take the logarithm of the lymphocyte count.

    Counts are skewed and act by their ratio: 60 against 30 · 10⁹/L says as much as 10 against 5.

    Args:
        attributes: ``(B, 2)``, age in years and lymphocyte count in 10⁹/L.
        log_count: whether the second column becomes its natural logarithm.

    Returns:
        ``(B, 2)``.

    Raises:
        DataError: if the shape differs, a value is not finite, or a count is not positive.
    """
    values = np.array(attributes, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 2:
        raise DataError(f"attributes of shape {values.shape}; expected (B, 2): age in years, lymphocyte count in 1e9/L")
    if not np.isfinite(values).all():
        raise DataError(
            f"attributes of patient at position {int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])} are not "
            "finite; fill in the age and the lymphocyte count, or leave the patient out"
        )
    if log_count:
        if (values[:, 1] <= 0).any():
            position = int(np.flatnonzero(values[:, 1] <= 0)[0])
            raise DataError(
                f"lymphocyte count {values[position, 1]:g} of patient at position {position}; expected a positive "
                "number of 1e9 cells per litre"
            )
        values[:, 1] = np.log(values[:, 1])
    return values


def attribute_classifiers(log_count: bool = True, seed: int = 0) -> dict[str, Pipeline]:
    """Give each classifier of the paper's section 3.1 and logistic regression, unfitted, by name.

    Source: Sahasrabudhe et al. 2020, section 3.1 and tables 3 and 4. The paper states no hyper-parameters; these are
    scikit-learn's defaults, held back where 100 patients with two attributes would be learned by heart (depth and
    leaves of trees, few and slow boosting rounds). A support vector machine has no probabilities of its own: a
    sigmoid is fitted on its decision values under five-fold cross-validation within the training data.

    Args:
        log_count: whether the classifiers see the logarithm of the lymphocyte count; they are all given raw counts.
        seed: seed of the ensembles and of the inner folds.

    Returns:
        Pipelines with ``fit(attributes, labels)`` and ``predict_proba(attributes)`` for attributes ``(B, 2)``, age in
        years and lymphocyte count in 10⁹/L. What they standardise, they standardise on their training data.

    Example:
        >>> attributes = [[30, 5], [35, 6], [40, 7], [70, 30], [75, 40], [80, 50]]
        >>> classifier = attribute_classifiers()["logistic_regression"].fit(attributes, [0, 0, 0, 1, 1, 1])
        >>> classifier.predict([[50, 4], [60, 60]]).tolist()
        [0, 1]
    """
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    classifiers: dict[str, ClassifierMixin] = {
        "logistic_regression": LogisticRegression(),
        "logistic_regression_weighted": LogisticRegression(class_weight="balanced"),
        "adaboost": AdaBoostClassifier(n_estimators=50, learning_rate=0.5, random_state=seed),
        "svm": CalibratedClassifierCV(SVC(kernel="rbf", C=1.0), method="sigmoid", cv=folds, ensemble=False),
        "decision_tree": DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=seed),
        "random_forest": RandomForestClassifier(n_estimators=300, min_samples_leaf=3, random_state=seed),
        "gaussian_naive_bayes": GaussianNB(),
        "gradient_boosting": GradientBoostingClassifier(
            n_estimators=100, learning_rate=0.05, max_depth=2, subsample=0.8, random_state=seed
        ),
    }
    return {
        name: make_pipeline(
            FunctionTransformer(attribute_inputs, kw_args={"log_count": log_count}), StandardScaler(), classifier
        )
        for name, classifier in classifiers.items()
    }
