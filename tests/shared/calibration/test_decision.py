import numpy as np
import pytest

from shared.calibration.decision import decide, defer_possible_misses

LIMITS = {"minimum_confidence": 0.2, "accept_confidence": 0.6, "outlier_threshold": 3.0}


@pytest.mark.parametrize(
    ("confidence", "score", "decision", "reason"),
    [
        (0.9, 1.0, "accept", "confidence 0.9 is at least 0.6 and outlier score 1 at most 3"),
        (0.6, 3.0, "accept", "at least"),
        (0.5999, 3.0, "defer", "confidence 0.5999 is below 0.6"),
        (0.2, 0.0, "defer", "below 0.6"),
        (0.1999, 0.0, "reject", "below the minimum of 0.2"),
        (0.99, 3.001, "reject", "outlier score 3.001 is above 3"),
        (0.1, 9.0, "reject", "outlier score 9"),
        (0.9, np.inf, "reject", "outlier score inf"),
    ],
)
def test_decisions_and_reasons(confidence, score, decision, reason):
    [(found, why)] = decide([confidence], [score], **LIMITS)
    assert found == decision
    assert reason in why


def test_order_is_kept():
    decisions = [decision for decision, _ in decide([0.9, 0.1, 0.4], [0.0, 0.0, 0.0], **LIMITS)]
    assert decisions == ["accept", "reject", "defer"]


@pytest.mark.parametrize(
    ("confidence", "score", "limits", "message"),
    [
        ([np.nan], [0.0], {}, "confidence is NaN at index 0"),
        ([0.5, 0.5], [0.0, np.nan], {}, "outlier score is NaN at index 1"),
        ([0.5], [0.0], {"outlier_threshold": np.nan}, "thresholds is NaN"),
        ([0.5], [0.0, 1.0], {}, "one shape"),
        ([0.5], [0.0], {"minimum_confidence": 0.7}, "minimum_confidence 0.7 exceeds accept_confidence 0.6"),
    ],
)
def test_bad_input_is_answered_clearly(confidence, score, limits, message):
    with pytest.raises(ValueError, match=message):
        decide(confidence, score, **(LIMITS | limits))


def test_nothing_may_be_accepted():
    limits = {"minimum_confidence": 0.2, "accept_confidence": np.inf, "outlier_threshold": 3.0}
    (decision, reason), (rejected, _) = decide(np.array([1.0, 0.1]), np.zeros(2), **limits)
    assert (decision, rejected) == ("defer", "reject")
    assert "inf" not in reason


DECIDED = [("accept", "sure"), ("accept", "sure"), ("accept", "sure"), ("defer", "unsure"), ("reject", "strange")]


def test_only_acceptance_as_the_other_class_is_bound_to_the_threshold():
    probability, called = [0.19, 0.2, 0.7, 0.01, 0.01], [False, False, True, False, False]
    found = defer_possible_misses(DECIDED, probability, called, threshold=0.2, name="tumour")
    assert [decision for decision, _ in found] == ["accept", "defer", "accept", "defer", "reject"]
    assert found[0][1] == "sure, and probability of tumour 0.19 is below 0.2"
    assert found[1][1] == "probability of tumour 0.2 is not below 0.2, which the wanted sensitivity asks for"
    assert found[2:] == DECIDED[2:]


def test_a_threshold_above_one_half_does_not_defer_what_is_found():
    found = defer_possible_misses(DECIDED[:2], [0.55, 0.45], [True, False], threshold=0.6, name="tumour")
    assert [decision for decision, _ in found] == ["accept", "accept"]


def test_without_a_threshold_nothing_is_accepted_as_the_other_class():
    found = defer_possible_misses(DECIDED[:2], [0.0, 1.0], [False, True], threshold=-np.inf, name="tumour")
    assert [decision for decision, _ in found] == ["defer", "accept"]
    assert found[0][1] == "no threshold was found for the wanted sensitivity for tumour"


def test_possible_misses_need_one_finite_probability_each():
    with pytest.raises(ValueError, match=r"expected 2 probabilities and predictions, found \(1,\)"):
        defer_possible_misses(DECIDED[:2], [0.1], [True], threshold=0.2, name="tumour")
    with pytest.raises(ValueError, match="NaN at index 1"):
        defer_possible_misses(DECIDED[:2], [0.1, np.nan], [True, True], threshold=0.2, name="tumour")
