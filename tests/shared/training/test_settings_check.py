"""Settings without effect and classes that do not exist are refused; what a user may add is not."""

from __future__ import annotations

import json

import pytest
from monai.bundle import ConfigParser

from shared.data.errors import DataError
from shared.training.settings_check import calling_parser, check_chosen_classes, check_effect, check_settings
from shared.training.start import start_run

BASE = {
    "imports": ["$import collections"],
    "bundle_root": ".",
    "learning_rate": 0.1,
    "unused": 3,
    "overrides": {},
    "kind": "OrderedDict",
    "mapping": {"_target_": "$'collections.' + @kind"},
    "monte_carlo": {"samples": 5, "doubled": "$2 * @monte_carlo#samples"},
    "result": "$[@learning_rate, @monte_carlo#doubled, @overrides, @mapping]",
    "training": ["$print(@result)"],
    "run": "%training",
}


@pytest.fixture
def configs(tmp_path):
    """A bundle's configs: a base, an overlay that adds to it, and the settings of another command."""
    folder = tmp_path / "configs"
    folder.mkdir()
    overlay = {"rank": 0, "monte_carlo#extra": 1}
    for name, content in {"train": BASE, "overlay": overlay, "prepare": {"wavelength": 528, "seed": 0}}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def parsed(configs, *more, **overrides):
    parser = ConfigParser()
    parser.read_config([str(configs / "train.json"), *map(str, more)])
    parser.update({"bundle_root": str(configs.parent), **overrides})
    parser.parse()
    return parser


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("lerning_rate", "did you mean 'learning_rate'"),
        ("monte_carlo#sampels", "did you mean 'monte_carlo#samples'"),
        ("zzz", "take it away"),
        ("wavelength", "it is a key of prepare.json, which is not in use here"),
        ("rank", "it is a key of overlay.json"),
    ],
)
def test_a_key_without_effect_is_named_with_the_closest_known_one(configs, key, advice):
    with pytest.raises(DataError, match=f"'{key}' has no effect: it is no key of train.json, .*{advice}"):
        check_settings(parsed(configs, **{key: 0.3}))


def test_each_such_key_is_named(configs):
    with pytest.raises(DataError, match=r"'lerning_rate'.*; the setting 'unusd'"):
        check_settings(parsed(configs, lerning_rate=1, unusd=2))


@pytest.mark.parametrize(
    "overrides",
    [
        {"learning_rate": 0.3, "monte_carlo#samples": 7, "unused": 4},
        # something refers to it, or to what it is a part of
        {"mine": 0.3, "learning_rate": "@mine"},
        {"mine": {"rate": 0.3}, "learning_rate": "$@mine#rate / 2"},
        {"overrides": {"integer_range": [0, 4]}},
        # arguments of components are their own matter
        {"mapping#maxlen": 3},
        # a command of one's own, and what MONAI adds
        {"my_run": ["$print(@result)"]},
        {"finalize": ["$print(1)"], "run_name": None, "_meta_": {"name": "x"}},
    ],
)
def test_what_has_an_effect_passes(configs, overrides):
    check_settings(parsed(configs, **overrides))


def test_an_overlay_in_use_knows_its_keys(configs):
    parser = parsed(configs, configs / "overlay.json", rank=3)
    check_settings(parser)
    parser["rnk"] = 3
    with pytest.raises(DataError, match=r"no key of overlay\.json, train\.json, .* 'rank'"):
        check_settings(parser)


def test_an_overlay_of_ones_own_may_bring_keys_that_are_used(configs, tmp_path):
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"factor": 2, "learning_rate": "$0.1 * @factor"}))
    check_settings(parsed(configs, own))


def test_where_none_of_the_bundles_files_is_in_use_nothing_can_be_told(configs, tmp_path):
    check_effect(ConfigParser({"something": 1}), configs)
    check_settings(ConfigParser({"something": 1}))


def test_an_unknown_class_is_named_with_the_setting_and_the_known_ones(configs, monkeypatch):
    check_chosen_classes(parsed(configs))
    with pytest.raises(DataError, match=r"kind: collections has no 'Orderd'; known: .*OrderedDict"):
        check_chosen_classes(parsed(configs, kind="Orderd"))
    with pytest.raises(DataError, match="kind or learning_rate: collections has no 'x1'"):
        check_chosen_classes(
            parsed(
                configs,
                kind="x",
                learning_rate=1,
                **{"mapping#_target_": "$'collections.' + @kind + str(@learning_rate)"},
            )
        )


def test_starting_checks_the_config_that_it_is_called_from(configs):
    assert calling_parser() is None
    start_run(seed=0)
    parser = parsed(configs, imports=["$import shared.training.start as start"], training=["$start.start_run(seed=3)"])
    parser.get_parsed_content("training")
    parser["lerning_rate"] = 0.3
    with pytest.raises(RuntimeError) as caught:
        parser.get_parsed_content("training")
    assert isinstance(caught.value.__cause__, DataError)
