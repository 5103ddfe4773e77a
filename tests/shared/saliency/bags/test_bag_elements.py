"""All that explains bags again, in one call: complete, and with what the checks behind it give."""

from __future__ import annotations

import pytest
import torch

from shared.evaluation.interpretability.file import row
from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.bag_elements import BAG_MEASURES, BagElements, unmeasured_rows
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.noise_stability import noisy_bags
from shared.saliency.sanity.checks import SanityChecks
from shared.saliency.sanity.explained import ExplainedBags


@pytest.fixture
def elements():
    return BagElements(2, SanityChecks(stages=1, draws=2), noise_draws=1, training_command="train again")


@pytest.fixture
def explained(build, features):
    model = build()
    return ExplainedBags(
        {"shapley": ExactShapley(model), "attention": AttentionWeights(model)}, [features, features[:6]]
    )


def test_everything_is_measured_or_says_why(elements, explained):
    checked = elements.check(explained, noisy_bags(explained, 0.02, 1), groups=["a", "b"])
    found = {(entry["measure"], entry["method"]): entry for entry in checked.rows}
    assert found["completeness_error", "shapley"]["value"] < 1e-9
    assert "one logit" in found["random_logit", "shapley"]["reason"]
    assert checked.satisfies["shapley"]
    assert "train again" in found["seed_stability", "shapley"]["reason"]
    assert found["noise_stability", "shapley"]["parameters"]["noise_level"] == 0.02
    rest = unmeasured_rows(checked.rows, ["shapley", "attention"], BAG_MEASURES, {"aopc_r": "no curves"}, "no truth")
    everything = {(entry["measure"], entry["method"]) for entry in [*checked.rows, *rest]}
    assert everything == {(measure, name) for measure in BAG_MEASURES for name in ("shapley", "attention")}
    reasons = {entry["measure"]: entry["reason"] for entry in rest}
    assert reasons["aopc_r"] == "no curves"
    assert reasons["instance_auc"] == "no truth"
    assert "readers" in reasons["reader_study"]


def test_other_trainings_are_compared(elements, explained, build, tmp_path):
    other = build()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    torch.save(other.state_dict(), tmp_path / "other.pt")
    with_other = BagElements(2, elements.sanity, noise_draws=1, other_model_files=[tmp_path / "other.pt"])
    checked = with_other.check(explained, noisy_bags(explained, 0.02, 1), with_other.others(explained.network))
    found = {entry["method"]: entry for entry in checked.rows if entry["measure"] == "seed_stability"}
    assert 0.3 < found["shapley"]["value"] < 1


def test_draw_is_of_different_bags_and_a_row_is_not_doubled(elements):
    assert len(set(elements.draw(10))) == 2
    assert elements.draw(1) == [0]
    rows = [row("sparseness", {"value": 0.5}, "a")]
    assert "sparseness" not in {entry["measure"] for entry in unmeasured_rows(rows, ["a"], BAG_MEASURES, {}, "why")}
