from functools import partial

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch.utils.data import DataLoader

from shared.data.errors import DataError
from shared.mil.bag_arrays import bags_from_arrays
from shared.mil.bag_dataset import BagDataset
from shared.mil.bags import PrepareBags, collate_bags, split_bags
from shared.training.epoch_seed import EpochSeed

RAGGED = ("image", "coordinates", "cell")


def record(name, size, label=0, age=50.0):
    first = 1000 * label + np.arange(size)
    return {
        "id": name,
        "image": torch.as_tensor(first, dtype=torch.float32)[:, None, None].expand(size, 2, 3),
        "coordinates": np.stack([first, -first], axis=1),
        "cell": [f"{name}/{index}" for index in range(size)],
        "label": label,
        "age": age,
        "vector": np.array([1.0, 2.0], dtype=np.float32),
        "paths": [f"{index}.jpg" for index in range(size)],
    }


def test_a_ragged_batch_holds_the_bags_one_after_the_other():
    batch = collate_bags([record("a", 2), record("b", 3, label=1, age=60)], RAGGED)
    assert batch["lengths"].tolist() == [2, 3]
    assert batch["lengths"].dtype == torch.int64
    assert batch["image"].shape == (5, 2, 3)
    assert batch["image"][:, 0, 0].tolist() == [0.0, 1.0, 1000.0, 1001.0, 1002.0]
    assert batch["coordinates"][:, 1].tolist() == [0, -1, -1000, -1001, -1002]
    assert batch["cell"] == ["a/0", "a/1", "b/0", "b/1", "b/2"]
    assert batch["label"].tolist() == [0, 1]
    assert batch["age"].tolist() == [50.0, 60.0]
    assert batch["vector"].shape == (2, 2)
    assert batch["id"] == ["a", "b"]
    assert batch["paths"] == [["0.jpg", "1.jpg"], ["0.jpg", "1.jpg", "2.jpg"]]


def test_collating_and_splitting_are_each_other_s_inverse():
    records = [record("a", 2), record("b", 1, label=1), record("c", 4)]
    batch = collate_bags(records, RAGGED)
    batch["pred"] = torch.arange(6.0).reshape(3, 2)
    for place, (bag, original) in enumerate(zip(split_bags(batch, RAGGED), records, strict=True)):
        assert bag["id"] == original["id"]
        assert bag["cell"] == original["cell"]
        assert bag["paths"] == original["paths"]
        assert bag["label"] == original["label"]
        assert torch.equal(bag["image"], original["image"])
        assert np.array_equal(bag["coordinates"], original["coordinates"])
        assert bag["pred"].tolist() == [2.0 * place, 2.0 * place + 1]
        assert "lengths" not in bag


def test_tensors_of_monai_lose_the_metadata_of_single_images():
    batch = collate_bags([{"image": MetaTensor(torch.ones(2, 3), meta={"filename": "x"})}])
    assert type(batch["image"]) is torch.Tensor


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.zeros(0, 2, 3), "coordinates": np.zeros((0, 2)), "cell": []}, "bag 'b': the bag is empty"),
        ({"cell": ["only one"]}, "bag 'b': .* differ in length: 'image' 3, 'coordinates' 3, 'cell' 1"),
        ({"vector": np.zeros(3)}, r"bag 'b': 'vector' has the shape \[3\], in bag 'a' \[2\]"),
        ({"more": 1}, r"bag 'b': its keys differ from those of bag 'a' in \['more'\]"),
    ],
)
def test_records_that_do_not_fit_are_refused_by_name(change, message):
    with pytest.raises(DataError, match=message):
        collate_bags([record("a", 2), {**record("b", 3), **change}], RAGGED)


def test_a_missing_ragged_key_is_refused_and_nothing_cannot_be_collated():
    with pytest.raises(DataError, match="bag 'a': found no 'features'"):
        collate_bags([record("a", 2)], ("features",))
    with pytest.raises(DataError, match="no bag"):
        collate_bags([])


@pytest.mark.parametrize("size", [1, 100_000])
def test_feature_bags_of_any_size_carry_coordinates_and_ids_along(size):
    features = np.random.default_rng(0).normal(size=(size, 4)).astype(np.float32)
    bag = {"id": "slide", "features": features, "tile": np.arange(size), "coordinates": features[:, :2], "label": 1}
    dataset = BagDataset([bag, {**bag, "id": "again"}], ragged=("features", "tile", "coordinates"))
    (batch,) = DataLoader(dataset, batch_size=2, collate_fn=partial(collate_bags, ragged=dataset.ragged), num_workers=1)
    assert batch["lengths"].tolist() == [size, size]
    assert batch["features"].shape == (2 * size, 4)
    np.testing.assert_array_equal(batch["features"][size:], features)
    np.testing.assert_array_equal(batch["tile"][:size], np.arange(size))
    assert batch["id"] == ["slide", "again"]


def test_instances_are_drawn_alike_under_all_keys_and_anew_in_each_epoch():
    dataset = BagDataset([record("a", 50), record("b", 3)], RAGGED, max_instances=20)
    bag = dataset[0]
    chosen = bag["coordinates"][:, 0].tolist()
    assert len(set(chosen)) == 20
    assert chosen == sorted(chosen)
    assert bag["image"][:, 0, 0].tolist() == chosen
    assert bag["cell"] == [f"a/{index}" for index in chosen]
    assert len(dataset[1]["cell"]) == 3
    assert dataset[0]["cell"] == bag["cell"]

    class Engine:
        state = type("State", (), {"epoch": 1, "dataloader": None})

    drawn = set()
    for epoch in (1, 2, 1):
        Engine.state.epoch = epoch
        EpochSeed(7, dataset)(Engine())
        drawn.add(tuple(dataset[0]["cell"]))
    assert len(drawn) == 2


def test_every_instance_is_as_likely_to_be_drawn():
    dataset = BagDataset([record("a", 10)], RAGGED, max_instances=3)
    counts = np.zeros(10)
    for seed in range(2000):
        dataset.set_random_state(seed)
        counts[dataset[0]["coordinates"][:, 0].numpy()] += 1
    assert counts.sum() == 6000
    # five standard deviations of a binomial with p = 0.3
    np.testing.assert_allclose(counts, 600, atol=5 * np.sqrt(2000 * 0.3 * 0.7))


def test_a_bag_may_be_read_when_it_is_asked_for():
    def read(item):
        return {**item, "features": np.full((item["size"], 1), item["size"])}

    dataset = BagDataset([{"id": "a", "size": 2}, {"id": "b", "size": 0}], ("features",), transform=read)
    assert dataset[0]["features"].tolist() == [[2], [2]]
    with pytest.raises(DataError, match="bag 'b': the bag is empty"):
        dataset[1]
    with pytest.raises(ValueError, match="max_instances"):
        BagDataset([], max_instances=0)
    with pytest.raises(ValueError, match="ragged key"):
        BagDataset([], ragged=())


def test_the_flat_layout_of_classical_data_sets_becomes_records():
    features = np.arange(10.0).reshape(5, 2)
    bag = np.array([1, 0, 1, 0, 1])
    first, second = bags_from_arrays(features, bag, [0, 1], ids=["x", "y"], truth=np.array([9, 8, 7, 6, 5]))
    assert (first["id"], first["label"], second["id"], second["label"]) == ("x", 0, "y", 1)
    assert first["features"].tolist() == [[2.0, 3.0], [6.0, 7.0]]
    assert second["truth"].tolist() == [9, 7, 5]
    assert second["instance"].tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bag": np.array([0, 0, 2])}, "ranges from 0 to 2"),
        ({"bag": np.array([0, 0, 0])}, "bags without instances: 1"),
        ({"bag": np.array([0, 1])}, "'features' has 3 rows, but 'bag' has 2"),
        ({"ids": ["a"]}, "1 ids and 2 labels"),
    ],
)
def test_flat_layouts_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        bags_from_arrays(**{"features": np.zeros((3, 2)), "bag": np.array([0, 1, 1]), "labels": [0, 1], **arguments})


def test_prepares_what_the_network_is_called_with():
    batch = collate_bags([record("a", 2), record("b", 3, label=1, age=60)], RAGGED)
    inputs, targets, positional, keywords = PrepareBags(attributes=("age", "vector"))(batch, "cpu", False)
    assert inputs is batch["image"]
    assert targets.tolist() == [0, 1]
    assert positional == ()
    assert keywords["lengths"].tolist() == [2, 3]
    assert keywords["attributes"].dtype == torch.float32
    assert keywords["attributes"].tolist() == [[50.0, 1.0, 2.0], [60.0, 1.0, 2.0]]
    del batch["label"]
    _, targets, _, keywords = PrepareBags()(batch, torch.device("cpu"))
    assert targets is None
    assert set(keywords) == {"lengths"}


def test_a_monai_engine_trains_on_ragged_batches():
    from monai.engines import SupervisedTrainer

    from shared.mil.levels import EmbeddingLevel
    from shared.mil.pooling.mean import MeanPooling

    torch.manual_seed(0)
    bags = [
        {"id": str(i), "features": np.full((i % 3 + 1, 2), i % 2, np.float32), "label": np.array([i % 2], np.float32)}
        for i in range(12)
    ]
    collate = partial(collate_bags, ragged=("features",))
    loader = DataLoader(BagDataset(bags, ("features",)), batch_size=4, collate_fn=collate)
    network = EmbeddingLevel(MeanPooling(), torch.nn.Linear(2, 1))
    losses = []

    class Record:
        def attach(self, engine):
            from ignite.engine import Events

            engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: losses.append(e.state.output["loss"]))

    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=60,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=0.1),
        loss_function=torch.nn.BCEWithLogitsLoss(),
        prepare_batch=PrepareBags(image_key="features"),
        decollate=False,
        train_handlers=[Record()],
    ).run()
    assert losses[-1] < 0.05 < losses[0]
