"""Weights that were trained with other settings are refused, where shapes alone would not tell."""

from __future__ import annotations

import pytest
import torch

from shared.data.errors import DataError
from shared.training.weights import load_weights

IMAGE = {"width": 2, "image_size": 32}


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def build(scripts):
    def build(name="MixtureOfExperts", log_count=True, **options):
        networks = scripts("networks")
        image_expert = networks.ImageClassifier(**{**IMAGE, **options})
        return networks.assemble(name, image_expert, networks.AttributePerceptron(log_count))

    return build


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.pt"


LOG_MEAN_EXP = {"pooling": "log_mean_exp"}


@pytest.mark.parametrize(
    ("trained", "used", "message"),
    [
        ({"pooling": "max"}, {}, "pooling is 'max' in the weights, expected 'mean'"),
        ({"log_count": False}, {}, "log_count is False in the weights, expected True"),
        ({"global_pooling": True}, {}, "global_pooling is True in the weights, expected False"),
        ({"width": 4}, {}, "width is 4 in the weights, expected 2"),
        ({"image_size": 31}, {}, "image_size is 31 in the weights, expected 32"),
        ({"normalisation": "group"}, {}, "normalisation is 'group' in the weights, expected 'batch'"),
        (
            {**LOG_MEAN_EXP, "pooling_options": {"r": 5.0}},
            LOG_MEAN_EXP,
            r"pooling_options is \{'r': 5.0\} in the weights, expected \{'r': 1.0\}",
        ),
    ],
)
def test_each_setting_is_named(build, file, trained, used, message):
    torch.save(build(**trained).state_dict(), file)
    with pytest.raises(DataError, match=rf"model\.pt: .*{message}"):
        load_weights(build(**used), file)


@pytest.mark.parametrize("name", ["ImageClassifier", "AttributePerceptron", "AveragedClassifier", "MixtureOfExperts"])
def test_the_same_settings_load(build, file, name):
    """Whether a default is written out or not."""
    trained = build(name, **LOG_MEAN_EXP)
    torch.save(trained.state_dict(), file)
    loaded = load_weights(build(name, **LOG_MEAN_EXP, pooling_options={"r": 1}), file)
    assert all(torch.equal(one, other) for one, other in zip(trained.parameters(), loaded.parameters(), strict=True))


def test_another_network_is_named(build, file):
    torch.save(build("ImageClassifier").state_dict(), file)
    with pytest.raises(DataError, match=r"model\.pt: network_name is ImageClassifier in the weights, expected Mix"):
        load_weights(build("MixtureOfExperts"), file)
    torch.save(build("MixtureOfExperts").state_dict(), file)
    with pytest.raises(DataError, match=r"model\.pt: network_name is MixtureOfExperts in the weights, expected Att"):
        load_weights(build("AttributePerceptron"), file)
    with pytest.raises(DataError, match=r"model\.pt: network_name is MixtureOfExperts in the weights, expected Ave"):
        load_weights(build("AveragedClassifier"), file)


def test_experts_from_files_are_compared_too(build, scripts, file):
    torch.save(build("AveragedClassifier", log_count=False).state_dict(), file)
    mixture, load_expert = build(), scripts("initialisation").load_expert
    load_expert(mixture.image_expert, "image_expert", file)
    with pytest.raises(DataError, match=r"model\.pt: log_count is False in the weights, expected True"):
        load_expert(mixture.attribute_expert, "attribute_expert", file)


def test_precision_leaves_the_record_alone(build):
    settings = build().half().double().image_expert.settings.read()
    assert settings == {
        **IMAGE,
        "pooling": "mean",
        "pooling_options": {},
        "global_pooling": False,
        "normalisation": "batch",
        "field_of_view": None,
    }


class TestPoolingOptions:
    """Options that an operator does not have, or lacks, are named."""

    @pytest.mark.parametrize(
        ("pooling", "options", "message"),
        [
            ("mean", {"r": 2}, "mean has no option r; its options: none"),
            ("log_mean_exp", {"k": 2}, "log_mean_exp has no option k; its options: r"),
            ("log_mean_exp", {"r": -1}, "log_mean_exp cannot be made with .*r must be positive"),
            ("top_k_mean", {}, "top_k_mean needs k, found"),
        ],
    )
    def test_refused(self, build, pooling, options, message):
        with pytest.raises(DataError, match=f"pooling_options: {message}"):
            build(pooling=pooling, pooling_options=options)

    def test_taken(self, build):
        assert build(pooling="log_mean_exp", pooling_options={"r": 7}).image_expert.pooling.r == 7
        assert build(pooling="attention", pooling_options={"hidden": 9}).image_expert.pooling.score.in_features == 9
        assert build(pooling="top_k_mean", pooling_options={"k": 3}).image_expert.pooling.k == 3
