"""Feature files become bags: the right numbers, in bounded memory, and errors that name the file and the remedy."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from shared.data.errors import DataError
from shared.mil.bag_dataset import BagDataset
from shared.mil.bags import collate_bags


@pytest.fixture(scope="module")
def feature_bags(scripts):
    return scripts("feature_bags")


@pytest.fixture
def write(scripts, tmp_path):
    """Write a feature file of random features and return its record."""
    feature_file = scripts("feature_file")

    def write(name, number=7, width=4, label=0, seed=0, spoil=None, **changes):
        rng = np.random.default_rng([seed, *name.encode()])
        features = rng.standard_normal((number, width)).astype(np.float16)
        if spoil is not None:
            features[spoil] = np.nan
        known = {"encoder": "ResNet", "encoder_sha256": "ab" * 32, "mpp": 0.5, "tile_size": 256}
        attributes = feature_file.FeatureAttributes(**{"slide_id": name, "level0_tile_size": 256.0, **known, **changes})
        part = (features, 256 * rng.integers(0, 99, (number, 2)), rng.random(number, np.float32))
        feature_file.write_features(tmp_path / f"{name}.h5", [part], number, attributes)
        return {"id": name, "features": str(tmp_path / f"{name}.h5"), "label": label}

    return write


@pytest.fixture
def kind(scripts):
    return scripts("feature_kind").FeatureKind(4)


def content(record):
    with h5py.File(record["features"]) as file:
        return {name: file[name][:] for name in file}


def test_a_bag_is_what_its_file_holds(feature_bags, write):
    record = write("a")
    keys = ("features", "coords", "tile_label", "id")
    bag = feature_bags.LoadFeatureBagd(keys=keys)(record)
    assert tuple(bag) == keys
    stored = content(record)
    np.testing.assert_array_equal(bag["features"], stored["features"].astype(np.float32))
    assert bag["features"].dtype == torch.float32
    np.testing.assert_array_equal(bag["coords"], stored["coords"])
    np.testing.assert_array_equal(bag["tile_label"], stored["tile_label"])


def test_bags_of_different_size_make_a_ragged_batch_of_drawn_tiles(feature_bags, write):
    """At most so many tiles per step, others in each epoch, each with its own place; whole bags without a limit."""
    records = [write("a", 3), write("b", 40, label=1)]
    load = feature_bags.LoadFeatureBagd(keys=("features", "coords", "label"))
    ragged = ("features", "coords")
    drawn = BagDataset(records, ragged, load, max_instances=10)
    batch = collate_bags([drawn[0], drawn[1]], ragged)
    assert batch["lengths"].tolist() == [3, 10]
    assert batch["label"].tolist() == [0, 1]
    stored = content(records[1])
    rows = {tuple(place): row for row, place in zip(stored["features"], stored["coords"].tolist(), strict=True)}
    for place, row in zip(batch["coords"][3:].tolist(), batch["features"][3:], strict=True):
        np.testing.assert_array_equal(row, rows[tuple(place)].astype(np.float32))
    before = drawn[1]["features"]
    assert torch.equal(drawn[1]["features"], before)
    drawn.set_random_state(5)
    assert not torch.equal(drawn[1]["features"], before)
    assert len(BagDataset(records, ragged, load)[1]["features"]) == 40


def test_what_fits_into_the_budget_is_read_once_and_the_rest_each_time(feature_bags, write, monkeypatch):
    records = [write(name, 100) for name in "abcd"]
    one = feature_bags._bytes(feature_bags.read_bag(records[0]))
    reads = []
    original = feature_bags.read_bag
    monkeypatch.setattr(feature_bags, "read_bag", lambda record: reads.append(record["id"]) or original(record))
    load = feature_bags.LoadFeatureBagd(keys=("features",), cache_gib=2.5 * one / 2**30)
    expected = [content(record)["features"].astype(np.float32) for record in records]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        for index in order:
            np.testing.assert_array_equal(load(records[index])["features"], expected[index])
        assert len(load.cache) == 2
        assert load.cache.used == 2 * one
    assert sorted(reads) == ["a", "b", *"ccc", *"ddd"]
    nothing = feature_bags.LoadFeatureBagd(keys=("features",))
    nothing(records[0])
    assert len(nothing.cache) == 0


def test_changing_a_bag_does_not_change_what_is_kept(feature_bags, write):
    record = write("a")
    load = feature_bags.LoadFeatureBagd(keys=("features",), cache_gib=1)
    load(record)["features"].zero_()
    assert load(record)["features"].abs().max() > 0


class TestRefused:
    def test_nan(self, feature_bags, write):
        with pytest.raises(DataError, match=r"a\.h5: the features of 1 of 7 tiles are NaN .* tile 4; extract"):
            feature_bags.read_bag(write("a", spoil=4))

    def test_missing(self, feature_bags, tmp_path):
        with pytest.raises(DataError, match=r"gone\.h5: no such feature file"):
            feature_bags.read_bag({"id": "a", "features": str(tmp_path / "gone.h5")})
        with pytest.raises(DataError, match="slide 'a': the record names no feature file"):
            feature_bags.read_bag({"id": "a"})

    @pytest.mark.parametrize("left", [0.0, 0.3, 0.6, 0.97])
    def test_truncated(self, feature_bags, write, left):
        record = write("a", 3000, 32)
        with open(record["features"], "r+b") as file:  # noqa: PTH123 - truncated in place
            file.truncate(int(left * file.seek(0, 2)))
        with pytest.raises(DataError, match=r"a\.h5: (not a readable HDF5 file|damaged).*extract"):
            feature_bags.read_bag(record)

    def test_damaged_inside(self, feature_bags, write):
        """A file that opens, whose compressed features do not."""
        record = write("a", 3000, 32)
        with h5py.File(record["features"]) as file:
            chunk = file["features"].id.get_chunk_info(5)
        with open(record["features"], "r+b") as file:  # noqa: PTH123
            file.seek(chunk.byte_offset)
            file.write(b"\xff" * chunk.size)
        with pytest.raises(DataError, match=r"a\.h5: "):
            feature_bags.read_bag(record)

    def test_empty(self, feature_bags, write, tmp_path):
        record = write("a")
        with h5py.File(record["features"], "a") as file:
            for name in ("features", "coords", "tile_label"):
                shape = (0, *file[name].shape[1:])
                del file[name]
                file.create_dataset(name, shape, np.float32)
        with pytest.raises(DataError, match=r"a\.h5: no tile; leave the slide out"):
            feature_bags.read_bag(record)

    def test_another_width(self, feature_bags, write, kind):
        with pytest.raises(DataError, match=r"a\.h5: 5 features per tile, the network takes 4; .*--in_features 5"):
            feature_bags.LoadFeatureBagd(kind)(write("a", width=5))

    def test_another_encoder(self, feature_bags, write, kind):
        load = feature_bags.LoadFeatureBagd(kind)
        record, other = write("a"), write("b", encoder="UNI")
        load(other)
        kind.set(load.read(record).attributes)
        load(record)
        with pytest.raises(DataError, match=r"b\.h5: features of another kind than those that the network .*now UNI"):
            load(other)

    def test_no_label(self, feature_bags, write):
        record = write("a")
        del record["label"]
        with pytest.raises(DataError, match="slide 'a': the record has no 'label'"):
            feature_bags.LoadFeatureBagd(keys=("features", "label"))(record)


class TestInitialisation:
    @pytest.fixture
    def network(self, scripts):
        return scripts("networks").assemble("attention", in_features=4, standardise=True)

    def test_mean_spread_and_kind_come_from_the_training_slides(self, scripts, feature_bags, network, write):
        records = [write(name, number) for name, number in (("a", 30), ("b", 9), ("c", 100))]
        load = feature_bags.LoadFeatureBagd(network.feature_kind, cache_gib=1)
        scripts("initialisation").initialise(network, load, records)
        bags = [content(record)["features"].astype(np.float64) for record in records]
        mean = np.mean([bag.mean(axis=0) for bag in bags], axis=0)
        square = np.mean([(bag**2).mean(axis=0) for bag in bags], axis=0)
        np.testing.assert_allclose(network.standardisation().centre, mean, rtol=1e-5)
        np.testing.assert_allclose(network.standardisation().scale, np.sqrt(square - mean**2), rtol=1e-5)
        assert network.feature_kind.read()["encoder"] == "ResNet"
        assert len(load.cache) == 3

    def test_two_encoders(self, scripts, feature_bags, network, write):
        records = [write("a"), write("b", encoder_sha256="cd")]
        load = feature_bags.LoadFeatureBagd(network.feature_kind)
        with pytest.raises(DataError, match=r"b\.h5: features of another kind than .*a\.h5 \(encoder_sha256"):
            scripts("initialisation").initialise(network, load, records)

    def test_no_slide(self, scripts, feature_bags, network):
        with pytest.raises(DataError, match="no training slides"):
            scripts("initialisation").initialise(network, feature_bags.LoadFeatureBagd(), [])

    def test_balanced_weight(self, scripts):
        balanced_weight = scripts("initialisation").balanced_weight
        assert balanced_weight([{"label": label} for label in (0, 0, 0, 1)]) == 3
        for labels in ((0, 0), (1,), ()):
            with pytest.raises(DataError, match="needs normal and tumour slides"):
                balanced_weight([{"label": label} for label in labels])
