import pytest

from shared.evaluation.timing import Comparison, measure


class Machine:
    """A clock that only the timed functions move."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def takes(self, name, *seconds):
        remaining = list(seconds)

        def function():
            self.calls.append(name)
            self.now += remaining.pop(0)

        return function


def test_ratios_are_taken_within_interleaved_rounds():
    machine = Machine()
    comparison = Comparison(
        "work", machine.takes("subject", 9, 1, 2, 4), {"slow": machine.takes("slow", 9, 3, 8, 20)}, {"slow": 4.5}
    )
    measurement = measure(comparison, rounds=3, warm_up=1, clock=lambda: machine.now)
    assert measurement.amounts == {"subject": (1, 2, 4), "slow": (3, 8, 20)}
    assert measurement.ratios("slow").tolist() == [3, 4, 5]
    content = measurement.to_dict()["rivals"]["slow"]
    assert content == {"ratio": 4, "least": 3, "greatest": 5, "goal": 4.5, "reached": False}
    assert machine.calls == ["subject", "slow", "slow", "subject", "subject", "slow", "slow", "subject"]


def test_a_rival_without_a_goal_has_nothing_to_reach():
    machine = Machine()
    comparison = Comparison("work", machine.takes("s", 1), {"other": machine.takes("o", 2)})
    content = measure(comparison, rounds=1, warm_up=0, clock=lambda: machine.now).to_dict()
    assert content["rivals"]["other"]["reached"] is None
    assert content["amounts"] == {"subject": [1], "other": [2]}
    assert content["unit"] == "s"


def test_other_amounts_are_what_the_functions_return_and_few_rounds_may_do():
    returned = {"subject": iter([100.0, 200.0]), "other": iter([300.0, 300.0])}
    comparison = Comparison(
        "memory", lambda: next(returned["subject"]), {"other": lambda: next(returned["other"])}, unit="MiB", rounds=2
    )
    content = measure(comparison, rounds=5, warm_up=3).to_dict()
    assert content["unit"] == "MiB"
    assert content["amounts"] == {"subject": [100.0, 200.0], "other": [300.0, 300.0]}
    assert content["rivals"]["other"]["ratio"] == 2.25


def test_refuses():
    comparison = Comparison("work", lambda: None, {"other": lambda: None})
    with pytest.raises(ValueError, match="at least one round"):
        measure(comparison, rounds=0)
    with pytest.raises(ValueError, match="needs rivals"):
        measure(Comparison("work", lambda: None, {}))
