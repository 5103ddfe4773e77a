"""Which explanation for which purpose: controls, chance and sanity checks decide what is proposed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from shared.evaluation.paired_samples import by_sample
from shared.report.purposes import choices
from shared.report.purposes_text import purposes_markdown
from tests.shared.report.run_cards import element_row, entry, run


def _localized(lime, grad_cam, random_map=(0.5, 0.45, 0.55), verdict="better", **options):
    rows = [
        element_row("localisation_auc", name, entry(*numbers, chance=0.5, n=40) | {"against_chance": verdict})
        for name, numbers in (("lime", lime), ("grad_cam", grad_cam), ("random_map", random_map))
    ]
    return run(rows=rows, **options)


def _choice(given, element="localization"):
    return next(choice for choice in choices(given) if choice.element == element)


def test_the_best_is_chosen_and_what_it_equals_is_named():
    found = _choice(_localized((0.80, 0.78, 0.82), (0.79, 0.77, 0.81)))
    assert (found.measure.name, found.best.title) == ("localisation_auc", "lime")
    assert [score.title for score in found.equals] == ["grad cam"]
    assert found.doubts == []
    assert [score.title for score in found.scores] == ["lime", "grad cam", "random map"]
    apart = _choice(_localized((0.80, 0.78, 0.82), (0.70, 0.68, 0.72)))
    assert apart.equals == []


def test_a_method_that_failed_a_sanity_check_is_never_chosen():
    found = _choice(_localized((0.9, 0.85, 0.95), (0.7, 0.65, 0.75), failed=["lime"]))
    assert found.best.title == "grad cam"
    assert [score.title for score in found.failed] == ["lime"]
    none = _choice(_localized((0.9, 0.85, 0.95), (0.7, 0.65, 0.75), failed=["lime", "grad_cam"]))
    assert none.best is None


@pytest.mark.parametrize(
    ("random_map", "verdict", "doubts"),
    [
        ((0.5, 0.4, 0.6), "better", []),
        ((0.78, 0.7, 0.86), "better", ["does not beat random map"]),
        ((0.95, 0.9, 1.0), "not told apart", ["not told apart from chance", "does not beat random map"]),
    ],
)
def test_what_does_not_beat_chance_and_controls_is_doubted(random_map, verdict, doubts):
    assert _choice(_localized((0.8, 0.75, 0.85), (0.6, 0.5, 0.7), random_map, verdict)).doubts == doubts


def test_where_low_is_good_the_lowest_is_chosen():
    rows = [
        element_row("distractor_share", name, entry(value, value - 0.05, value + 0.05))
        for name, value in (("lime", 0.3), ("grad_cam", 0.1), ("random_map", 0.5))
    ]
    assert [score.title for score in _choice(run(rows=rows), "physical_attribution").scores] == [
        "grad cam",
        "lime",
        "random map",
    ]


def test_of_likeness_that_should_not_be_there_none_is_the_best():
    rows = [
        element_row("random_logit", name, entry(value, value - 0.05, value + 0.05, chance=0.0))
        for name, value in (("lime", -0.3), ("grad_cam", 0.1), ("random_map", 1.0))
    ]
    found = _choice(run(rows=rows), "model_transparency")
    assert found.best.title == "grad cam"
    # a control that looks at no network does not change with it: it is no rival here
    assert found.doubts == []
    assert found.equals == []


def test_of_several_things_the_worst_counts():
    rows = [
        element_row("map_response", name, entry(value, value - 0.05, value + 0.05), of)
        for name, value, of in (
            ("lime", 0.9, "size"),
            ("lime", 0.1, "dry mass"),
            ("grad_cam", 0.5, "size"),
            ("grad_cam", 0.6, "dry mass"),
        )
    ]
    found = _choice(run(rows=rows), "physical_attribution")
    assert [(score.title, score.entry["value"], score.entry["of"]) for score in found.scores] == [
        ("grad cam", 0.5, "size"),
        ("lime", 0.1, "dry mass"),
    ]


@pytest.mark.parametrize(
    ("element", "leads", "other"),
    [
        ("localization", "rank_accuracy", "localisation_auc"),
        ("localization", "instance_ndcg", "instance_auc"),
        ("physical_attribution", "cause_share", "map_response"),
    ],
)
def test_the_leading_measure_decides_whatever_the_others_say(element, leads, other):
    """By the other measure LIME would be chosen."""
    rows = [
        element_row(measure, name, entry(value, value - 0.05, value + 0.05))
        for measure, values in ((other, (0.9, 0.4)), (leads, (0.3, 0.7)))
        for name, value in zip(("lime", "grad_cam"), values, strict=True)
    ]
    found = _choice(run(rows=rows), element)
    assert (found.measure.name, found.best.title) == (leads, "grad cam")
    alone = _choice(run(rows=rows[:2]), element)
    assert (alone.measure.name, alone.best.title) == (other, "lime")


def test_a_measure_of_controls_alone_leads_nowhere():
    rows = [
        element_row("noise_stability", "random_map", entry(0.1, 0.0, 0.2)),
        element_row("seed_stability", "lime", entry(0.6, 0.5, 0.7)),
    ]
    assert _choice(run(rows=rows), "visual_recognizability").measure.name == "seed_stability"
    assert _choice(run(), "visual_recognizability").measure is None


def test_the_tables_say_what_to_use_and_how_sure():
    sure = _localized((0.80, 0.78, 0.82), (0.70, 0.68, 0.72), bundle="cells", name="cells")
    unsure = _localized((0.6, 0.4, 0.8), (0.5, 0.3, 0.7), verdict="not told apart", name="chests", failed=["grad_cam"])
    text = purposes_markdown([sure, unsure])
    value = "0.800 \\[0.780, 0.820\\], chance 0.500"
    ahead = "next: grad cam, 0.100 \\[0.072, 0.128\\] behind"
    assert f"| cells | where the cause lies | lime | Localisation AUC | {value} | sure (N = 40); {ahead} |  |" in text
    line = next(line for line in text.splitlines() if line.startswith("| chests | where the cause lies"))
    assert "| none (the best: lime) |" in line
    assert "not: not told apart from chance, does not beat random map (N = 40)" in line
    assert "| to see | cells | chests |\n| --- | --- | --- |\n| where the cause lies | lime (sure) | none |\n" in text
    # what is worse anyhow need not be named for having failed
    assert "grad cam" not in line
    assert text.count("Likeness 0.9 is not below 0.5.") == 1
    assert (
        "| cells | what changes the prediction when it is taken away or put in | \u2013 |  |  | not measured |  |"
        in text
    )


def test_intervals_that_are_not_to_be_trusted_make_nothing_sure():
    found = _localized((0.80, 0.78, 0.82), (0.70, 0.68, 0.72), bundle="cells", name="cells")
    drawn = {"by": "sample", "n": 40, "warning": "the samples are of 3 donors"}
    warned = replace(found, name="few donors", card={**found.card, "elements_resampled": drawn})
    text = purposes_markdown([found, warned])
    brief, *lines = [line for line in text.splitlines() if "where the cause lies |" in line]
    assert brief == "| where the cause lies | lime (sure) | lime (not sure) |"
    assert "| sure (N = 40);" in lines[0]
    assert "| not sure (N = 40): intervals not to be trusted, see the warning;" in lines[1]
    said = "These intervals are not to be trusted as they stand: the samples are of 3 donors."
    assert f"- **Warning.** few donors: {said}\n\n| to see" in text
    assert text.count("**Warning.**") == 1


def test_a_control_that_fails_is_as_expected():
    rows = [element_row("pointing_game", name, entry(0.5, 0.4, 0.6)) for name in ("lime", "random_map")]
    text = purposes_markdown([run(rows=rows, failed=["lime", "random_map"])])
    assert "| FAILED: Likeness 0.9 is not below 0.5. |" in text
    assert "| Control, as expected: Likeness 0.9 is not below 0.5. |" in text


def test_few_samples_are_not_called_sure():
    rows = [element_row("instance_auc", "lime", entry(0.9, 0.85, 0.95, chance=0.5, n=4) | {"against_chance": "better"})]
    lines = [line for line in purposes_markdown([run(rows=rows)]).splitlines() if "where the cause lies |" in line]
    assert lines[0] == "| where the cause lies | lime (4 samples only) |"
    assert lines[1].endswith("| shown on 4 samples only |  |")


def test_a_better_method_that_failed_is_named():
    found = _localized((0.9, 0.85, 0.95), (0.7, 0.65, 0.75), failed=["lime"])
    assert "sure (N = 40); better, but failed a sanity check: lime" in purposes_markdown([found])


@pytest.mark.parametrize(
    ("likeness", "sure"),
    [
        ((0.1, 0.0, 0.3), "sure (N = 40)"),
        ((0.63, 0.46, 0.78), "not sure (N = 40): undecided in a sanity check (Random logit)"),
    ],
)
def test_what_a_sanity_check_does_not_decide_is_never_sure(likeness, sure):
    numbers = entry(0.8, 0.75, 0.85, chance=0.5, n=40) | {"against_chance": "better"}
    rows = [element_row("rank_accuracy", "lime", numbers)]
    rows.append(element_row("random_logit", "lime", entry(*likeness) | {"parameters": {"limit": 0.5}}))
    lines = [line for line in purposes_markdown([run(rows=rows)]).splitlines() if "where the cause lies |" in line]
    brief, line = lines
    assert brief == f"| where the cause lies | lime ({sure.partition(' (N')[0]}) |"
    assert "| lime |" in line
    assert line.endswith(f"| {sure} |  |")


def _sampled(values, shift):
    """A run with values of 40 samples, of which two methods find the same ones hard."""
    generator = np.random.default_rng(0)
    common = generator.normal(size=40) * 0.1
    samples = {
        "lime": by_sample(range(40), values[0] + common + generator.normal(size=40) * 0.01),
        "grad_cam": by_sample(range(40), values[1] + common + generator.normal(size=40) * 0.01 + shift),
    }
    rows = [
        {"measure": "rank_accuracy", "method": name, "value": float(np.mean(part["values"])), "samples": part}
        for name, part in samples.items()
    ]
    means = [row["value"] for row in rows]
    given = run(
        rows=[
            element_row("rank_accuracy", name, entry(mean, mean - 0.05, mean + 0.05))
            for name, mean in zip(samples, means, strict=True)
        ]
    )
    sources = SimpleNamespace(interpretability={"rows": rows})
    return replace(given, sources=sources), means


def test_methods_are_compared_on_the_same_samples():
    """Intervals of both overlap; sample by sample, one is better than the other everywhere."""
    given, means = _sampled((0.60, 0.56), 0.0)
    found = _choice(given)
    score, lead = found.runner_up
    assert (score.title, lead.paired, lead.shown) == ("grad cam", True, True)
    assert lead.value == pytest.approx(means[0] - means[1], abs=1e-5)
    assert found.equals == []
    text = purposes_markdown([given])
    assert f"next: grad cam, {means[0] - means[1]:.2f}" in text
    assert "\\] behind, paired" in text
    unpaired = _choice(replace(given, sources=None))
    assert (unpaired.runner_up[1].paired, unpaired.runner_up[1].shown) == (False, False)
    assert [score.title for score in unpaired.equals] == ["grad cam"]


def test_where_low_is_good_a_lead_is_positive():
    rows = [
        element_row("deletion_auc", name, entry(value, value - 0.02, value + 0.02))
        for name, value in (("lime", 0.3), ("grad_cam", 0.5))
    ]
    _, lead = _choice(run(rows=rows), "actionability").runner_up
    assert lead.value == pytest.approx(0.2)
    assert lead.interval == pytest.approx((0.2 - 0.02 * 2**0.5, 0.2 + 0.02 * 2**0.5))


def test_a_second_measure_that_disagrees_is_named():
    methods = ("lime", "grad_cam", "saliency", "random_map")
    first, second = (0.9, 0.8, 0.7, 0.1), (0.5, 0.6, 0.7, 0.9)
    rows = [
        element_row(measure, name, entry(value, value - 0.05, value + 0.05))
        for measure, values in (("rank_accuracy", first), ("localisation_auc", second))
        for name, value in zip(methods, values, strict=True)
    ]
    given = run(rows=rows, methods=methods)
    found = _choice(given).second
    # the control is highest by it, and does not count
    assert (found.measure.name, found.best.title, found.agreement, found.methods) == (
        "localisation_auc",
        "saliency",
        -1.0,
        3,
    )
    said = "disagrees: saliency by Localisation AUC, 0.700 \\[0.650, 0.750\\], 0.200 \\[0.129, 0.271\\] ahead "
    said += "(rank correlation \u22121.00, 3 methods)"
    assert found.disagrees
    assert said in purposes_markdown([given])
    agreeing = run(rows=[{**row, "value": first[methods.index(row["method"])]} for row in rows], methods=methods)
    assert "the same by Localisation AUC (rank correlation 1.00, 3 methods)" in purposes_markdown([agreeing])


def test_a_second_measure_that_shows_no_difference_does_not_decide():
    """Its best is ahead, but not beyond the interval of the difference; on the same samples it is."""
    rows = [
        element_row(measure, name, entry(value, value - 0.05, value + 0.05))
        for measure, values in (("rank_accuracy", (0.9, 0.8)), ("localisation_auc", (0.6, 0.64)))
        for name, value in zip(("lime", "grad_cam"), values, strict=True)
    ]
    given = run(rows=rows)
    second = _choice(given).second
    assert (second.best.title, second.disagrees) == ("grad cam", False)
    assert second.lead.interval == pytest.approx((0.04 - 0.05 * 2**0.5, 0.04 + 0.05 * 2**0.5))
    text = purposes_markdown([given])
    assert (
        "does not decide: grad cam by Localisation AUC, 0.640 \\[0.590, 0.690\\], 0.040 \\[\u22120.031, 0.111\\] ahead"
        in text
    )
    common = np.random.default_rng(0).normal(size=40) * 0.1
    sampled = [
        {"measure": "localisation_auc", "method": name, "samples": by_sample(range(40), mean + common)}
        for name, mean in (("lime", 0.6), ("grad_cam", 0.64))
    ]
    sampled[1]["samples"]["values"][0] += 0.01  # not all differences are alike
    paired = replace(given, sources=SimpleNamespace(interpretability={"rows": sampled}))
    assert _choice(paired).second.lead.paired
    assert _choice(paired).second.disagrees
    assert "ahead, paired" in purposes_markdown([paired])
    without = run(rows=[{**row, "ci95": None, "reason": "only one group"} for row in rows])
    assert "does not decide: grad cam by Localisation AUC, 0.640 (only one group), no interval" in purposes_markdown(
        [without]
    )


def test_maps_and_values_of_instances_are_judged_apart():
    """Cells hold more of a cause than pixels do: their share is higher without being better."""
    methods = ("shapley", "random_values", "lime", "grad_cam", "random_map")
    shares = (0.6, 0.55, 0.3, 0.2, 0.05)
    rows = [
        element_row("cause_share", name, entry(value, value - 0.02, value + 0.02))
        for name, value in zip(methods, shares, strict=True)
    ]
    rows += [element_row("rank_accuracy", name, entry(0.5, 0.4, 0.6)) for name in ("lime", "grad_cam")]
    rows += [element_row("instance_ndcg", name, entry(0.9, 0.8, 1.0)) for name in ("shapley", "random_values")]
    given = run(rows=rows, methods=methods)
    maps, values = (choice for choice in choices(given) if choice.element == "physical_attribution")
    assert (maps.kind, maps.best.title, values.kind, values.best.title) == (
        "maps",
        "lime",
        "values of instances",
        "shapley",
    )
    assert [score.title for score in maps.scores] == ["lime", "grad cam", "random map"]
    assert (maps.doubts, values.doubts) == ([], [])
    text = purposes_markdown([given])
    assert "| maps: lime (sure); values of instances: shapley (sure) |" in text
    # NDCG of instances is no second opinion on the rank accuracy of maps
    assert "disagrees:" not in text
    assert "does not decide:" not in text
    assert "| first | where the cause lies (values of instances) | none (the best: shapley) |" in text
    assert "Physical attribution, maps: Share on the cause" in text
    (line,) = (line for line in text.splitlines() if line.startswith("| first | shapley |"))
    assert "0.900" in line
    assert "0.600" in line


def test_a_second_measure_that_was_not_taken_of_the_best_does_not_disagree():
    rows = [element_row("rank_accuracy", "lime", entry(0.9, 0.8, 1.0))]
    rows.append(element_row("localisation_auc", "grad_cam", entry(0.6, 0.5, 0.7)))
    text = purposes_markdown([run(rows=rows)])
    assert "Localisation AUC was not taken of it; of the others the best: grad cam, 0.600" in text


def test_a_number_that_all_resamples_agree_on_is_not_doubted():
    agreed = entry(0.0) | {"reason": "all resamples agree", "n": 40}
    found = _choice(run(rows=[element_row("completeness_error", "lime", agreed)]), "model_transparency")
    assert found.doubts == []
    rows = [element_row("rank_accuracy", "lime", {**agreed, "value": 1.0})]
    rows.append(element_row("rank_accuracy", "random_map", entry(0.5, 0.4, 0.6)))
    assert _choice(run(rows=rows)).doubts == []
    # each sample hits or misses: that all hit does not say that the next one will
    won = element_row("pointing_game", "lime", {**agreed, "value": 1.0})
    assert _choice(run(rows=[won])).doubts == ["no interval (all resamples agree)"]
