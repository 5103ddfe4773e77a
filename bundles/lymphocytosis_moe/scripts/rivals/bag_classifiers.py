"""The multiple-instance classifiers that are compared, ready to fit, by name."""

from __future__ import annotations

from sklearn.base import ClassifierMixin
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from scripts.rivals.em_dd import EMDD
from scripts.rivals.mi_svm import MISVM
from scripts.rivals.miles import MILES
from scripts.rivals.specialising_mil import SpecialisingMIL

__all__ = ["bag_classifiers"]


def bag_classifiers(folds: int = 3, seed: int = 0) -> dict[str, ClassifierMixin]:
    """Give each classifier of the paper's section 3.2, unfitted, with what it tunes on its own training bags.

    SPEC_MIL tunes the fraction of positive instances as the paper says. For the others it states no hyper-parameters:
    C and the weights of the classes of MI-SVM, bandwidth and penalty of MILES are chosen by the area under the ROC
    curve in a cross-validation within the training bags; EM-DD has nothing to tune.

    Args:
        folds: folds of the inner cross-validations.
        seed: seed of the inner folds and of the starting points of EM-DD.

    Returns:
        Estimators with ``fit(bags, labels)``, ``decision_function(bags)`` and ``predict_proba(bags)``, for bags as a
        list of arrays ``(n_i, F)``.
    """
    inner = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return {
        "mi_svm": GridSearchCV(
            MISVM(),
            {"C": [0.1, 1.0, 10.0], "class_weight": [None, "balanced"]},
            scoring="roc_auc",
            cv=inner,
        ),
        "miles": GridSearchCV(
            MILES(positive_weight=None),
            {"bandwidth": [1.0, 3.0, 10.0], "regularisation": [0.05, 0.2]},
            scoring="roc_auc",
            cv=inner,
        ),
        "em_dd": EMDD(seed=seed),
        "specialising_mil": SpecialisingMIL(folds=folds, seed=seed),
    }
