"""Outputs come back in the order of the records, whatever the batches, the runs and the processes."""

from __future__ import annotations

from collections import Counter

import ignite.distributed as idist
import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from ignite.engine import Engine
from monai.data import DataLoader, Dataset, DistributedSampler
from monai.engines import SupervisedEvaluator

from shared.calibration.output_collector import CollectedOutputs, OutputCollector
from shared.data.errors import DataError


def make_records(count):
    return [{"id": f"cell/{index:02d}", "value": float(index), "donor": f"D{index % 3}"} for index in range(count)]


def make_engine(collector, seen=None):
    """An evaluator's events and state: each image's logits are its value and the square of it."""

    def step(engine, batch):
        if seen is not None:
            seen.update(batch["id"])
        value = batch["value"].double()
        return {"pred": torch.stack([value, value**2], dim=1)}

    engine = Engine(step)
    collector.attach(engine)
    return engine


def expected_logits(count):
    values = np.arange(count, dtype=np.float32)
    return np.stack([values, values**2], axis=1)


def test_records_keep_their_order_under_shuffled_batches():
    records = make_records(23)
    collector = OutputCollector(records)
    engine = make_engine(collector)
    orders = set()
    for seed in range(3):
        torch.manual_seed(seed)
        loader = DataLoader(Dataset(records), batch_size=5, shuffle=True)
        orders.add(tuple(next(iter(loader))["id"]))
        engine.run(loader)
        assert collector.collected.records == records
        np.testing.assert_array_equal(collector.collected.outputs["logits"], expected_logits(23))
    assert len(orders) == 3


def test_every_run_begins_anew():
    records = make_records(4)
    collector = OutputCollector(records)
    engine = make_engine(collector)
    engine.run(DataLoader(Dataset(records), batch_size=3))
    engine.run(DataLoader(Dataset([{**record, "value": record["value"] + 1} for record in records]), batch_size=2))
    np.testing.assert_array_equal(collector.collected.outputs["logits"], expected_logits(5)[1:])


def test_attaching_twice_collects_once():
    calls = []

    def reduce(outputs):
        calls.append(len(outputs["logits"]))
        return {"first": outputs["logits"][:, 0].numpy()}

    records = make_records(6)
    collector = OutputCollector(records, reduce)
    engine = make_engine(collector)
    collector.attach(engine)
    engine.run(DataLoader(Dataset(records), batch_size=4))
    assert calls == [4, 2]
    assert list(collector.collected.outputs) == ["first"]
    np.testing.assert_array_equal(collector.collected.outputs["first"], np.arange(6))


def test_what_a_dictionary_of_an_inferer_holds_is_kept_with_its_shapes():
    records = [{"id": str(index), "image": torch.full((1, 2, 2), float(index))} for index in range(5)]
    collector = OutputCollector(records)

    def inferer(inputs, network):
        value = network(inputs)[:, 0]
        return {"logits": value[:, None, None].expand(-1, 3, 2).bfloat16(), "embedding": value[:, None] + 0.5}

    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(records), batch_size=2),
        network=torch.nn.Flatten(),
        inferer=inferer,
        val_handlers=[collector],
        decollate=False,
    )
    evaluator.run()
    outputs = collector.collected.outputs
    assert outputs["logits"].shape == (5, 3, 2)
    np.testing.assert_array_equal(outputs["logits"][:, 1, 0], np.arange(5))
    np.testing.assert_array_equal(outputs["embedding"], np.arange(5)[:, None] + 0.5)


def test_a_decollating_evaluator_is_told_so():
    records = make_records(2)
    engine = Engine(lambda engine, batch: [{"pred": torch.zeros(2)} for _ in batch["id"]])
    OutputCollector(records).attach(engine)
    with pytest.raises(TypeError, match="set decollate to false"):
        engine.run(DataLoader(Dataset(records), batch_size=2))


def test_missing_repeated_and_unknown_records_are_named():
    records = make_records(4)
    with pytest.raises(DataError, match=r"2 record\(s\) have no output, the first is 'cell/02'"):
        make_engine(OutputCollector(records)).run(DataLoader(Dataset(records[:2]), batch_size=2))
    with pytest.raises(ValueError, match="id 'cell/03', which no record"):
        make_engine(OutputCollector(records[:3])).run(DataLoader(Dataset(records), batch_size=2))
    with pytest.raises(DataError, match="'cell/01' stands for more than one record"):
        OutputCollector([*records, records[1]])


@pytest.mark.parametrize("rows", [np.zeros(1), np.zeros(()), np.zeros((3, 2))])
def test_outputs_that_do_not_belong_to_the_images_are_refused(rows):
    records = make_records(2)
    collector = OutputCollector(records, lambda outputs: {"score": rows})
    with pytest.raises(ValueError, match="score must have one row for each of 2 images"):
        make_engine(collector).run(DataLoader(Dataset(records), batch_size=2))


def test_where_selects_records_and_rows_together():
    records = make_records(6)
    outputs = {"logits": expected_logits(6), "name": np.array(list("abcdef"), dtype=object)}
    part = CollectedOutputs(records, outputs).where([record["donor"] == "D1" for record in records])
    assert part.records == [records[1], records[4]]
    np.testing.assert_array_equal(part.outputs["logits"], expected_logits(6)[[1, 4]])
    assert part.outputs["name"].tolist() == ["b", "e"]


def _process(rank, rendezvous, results):
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    idist.sync()
    records = make_records(7)  # an odd number: the sampler repeats one
    sampler = DistributedSampler(Dataset(records), shuffle=True, even_divisible=True, num_replicas=2, rank=rank)
    seen = Counter()
    collector = OutputCollector(
        records,
        lambda outputs: {
            "logits": outputs["logits"].numpy(),
            "reason": np.array([f"{v:g}" for v in outputs["logits"][:, 0]], dtype=object),
        },
    )
    make_engine(collector, seen).run(DataLoader(Dataset(records), batch_size=3, sampler=sampler))
    collected = collector.collected
    everything = (
        [record["id"] for record in collected.records],
        collected.outputs["logits"],
        collected.outputs["reason"],
    )

    alone = OutputCollector(records)
    if rank == 1:
        make_engine(alone).run(DataLoader(Dataset(records), batch_size=2))
    else:
        alone.finish(Engine(lambda *_: None))  # this process has no share of the data
    results[rank] = (seen, *everything, alone.collected.outputs["logits"])
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_are_gathered_and_repeated_records_count_once(tmp_path, repository, monkeypatch):
    monkeypatch.syspath_prepend(repository)  # the processes import this file by name
    results = mp.get_context("spawn").Manager().dict()
    mp.spawn(_process, args=(tmp_path / "rendezvous", results), nprocs=2)
    seen = results[0][0] + results[1][0]
    assert sum(seen.values()) == 8
    assert len(seen) == 7
    for rank in (0, 1):
        _, ids, logits, reasons, alone = results[rank]
        assert ids == [record["id"] for record in make_records(7)]
        np.testing.assert_array_equal(logits, expected_logits(7))
        assert reasons.tolist() == [str(value) for value in range(7)]
        np.testing.assert_array_equal(alone, expected_logits(7))
