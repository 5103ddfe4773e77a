"""The settings: what is refused, what fewer seeds leave, and the order of the runs."""

from __future__ import annotations

import json

import pytest

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def read(scripts):
    return scripts("study.settings").read_settings


def test_modes_replace_values_of_the_default(read):
    default, quick, full = (read(mode) for mode in ("default", "quick", "full"))
    assert quick.training["image_size"] < default.training["image_size"] < full.training["image_size"] == 320
    assert full.training["block_config"] == [6, 12, 24, 16]  # the paper's network
    assert default.doubts["methods#lrp#epsilon"] == quick.doubts["methods#lrp#epsilon"]
    assert default.goal == quick.goal == full.goal
    assert default.hours == 1.5


def test_fewer_seeds(read, scripts):
    settings = read("default", 2)
    assert (settings.real.repeats, list(settings.phantoms.seeds), settings.shortcut.seeds) == (2, [101, 102], [101])
    runs = scripts("study.grid").all_runs(settings)
    assert [run.key for run in runs[:6]] == [f"real/repeat1_fold{fold}" for fold in range(1, 6)] + ["phantoms/seed101"]
    assert len({run.key for run in runs}) == len(runs) == 2 * 5 + 2 + 1
    for run in runs:
        assert all(needed in runs[: runs.index(run)] for needed in scripts("study.grid").required_runs(run))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shortcut": {"seeds": [9]}}, "shortcut names seed 9, expected one of the phantoms'"),
        ({"real": {"fold": 3}}, "real: the settings do not fit: .*fold"),
        ({"alarms": {"steps": 3}}, "alarms: the settings do not fit"),
        ({"epochs": 3}, "the settings do not fit: .*epochs"),
    ],
)
def test_what_does_not_fit_is_named(scripts, read, tmp_path, change, message):
    content = json.loads((scripts("study.settings").BUNDLE_ROOT / "configs" / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({"default": content["default"], "mine": change}))
    with pytest.raises(DataError, match=message):
        read("mine", path=tmp_path / "study.json")


def test_the_default_leaves_out_what_the_full_study_has(scripts, read):
    left_out = scripts("study.table").left_out
    texts = left_out(read("default"), read("full"))
    assert "Networks with image_size 128 instead of 320" in texts
    assert "Phantoms: 4000 instead of 20000 films in 'train' of each seed" in texts
    assert "blur of test-time augmentation 4 instead of 10 pixels, in proportion to the image" in texts
    assert left_out(read("full"), read("full")) == []
    assert "A smoke test: its numbers mean nothing" in left_out(read("quick"), read("full"))
