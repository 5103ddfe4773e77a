"""Weights load exactly, or an error says why not."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from shared.data.errors import DataError
from shared.training.weights import WeightsLoader, load_weights, save_weights


def test_loads_when_the_engine_starts(tmp_path):
    source, target = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2).train()
    torch.save(source.state_dict(), tmp_path / "model.pt")
    engine = Engine(lambda engine, batch: None)
    WeightsLoader(target, tmp_path / "model.pt").attach(engine)
    assert not torch.equal(source.weight, target.weight)
    engine.run([0])
    assert torch.equal(source.weight, target.weight)
    assert not target.training


def test_weights_whose_exchange_was_killed_are_put_back(tmp_path):
    source, target = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    (tmp_path / ".models-older-x").mkdir()
    torch.save(source.state_dict(), tmp_path / ".models-older-x" / "model.pt")
    load_weights(target, tmp_path / "models" / "model.pt")
    assert torch.equal(source.weight, target.weight)


def test_errors_name_the_file(tmp_path):
    network = torch.nn.Linear(3, 2)
    with pytest.raises(DataError, match=r"model\.pt: no such weights; run the bundle's training"):
        load_weights(network, tmp_path / "model.pt")
    torch.save(torch.nn.Linear(4, 2).state_dict(), tmp_path / "model.pt")
    with pytest.raises(DataError, match=r"not those of Linear with these settings: size mismatch for weight.*; give"):
        load_weights(network, tmp_path / "model.pt")
    torch.save(torch.nn.Sequential(*[torch.nn.Linear(4, 2) for _ in range(50)]).state_dict(), tmp_path / "many.pt")
    with pytest.raises(DataError) as raised:
        load_weights(torch.nn.Sequential(*[torch.nn.Linear(3, 2) for _ in range(50)]), tmp_path / "many.pt")
    said = str(raised.value)
    assert "size mismatch for 0.weight" in said
    assert "(and 49 more); give what the model was trained with" in said
    assert "\n" not in said
    assert len(said) < 500
    assert raised.value.__cause__ is None
    torch.save([1, 2], tmp_path / "model.pt")
    with pytest.raises(DataError, match="not those of Linear"):
        load_weights(network, tmp_path / "model.pt")
    torch.save({"epoch": Engine}, tmp_path / "model.pt")
    with pytest.raises(DataError, match="not readable as a state dict"):
        load_weights(network, tmp_path / "model.pt")
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="not readable as a state dict"):
        load_weights(network, tmp_path / "model.pt")


def test_equal_weights_make_equal_files(tmp_path):
    network = torch.nn.Linear(3, 2)
    for name in ("one.pt", "two.pt"):
        save_weights(network.state_dict(), tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    loaded = load_weights(torch.nn.Linear(3, 2), tmp_path / "two.pt")
    assert torch.equal(loaded.weight, network.weight)
    with torch.no_grad():
        network.bias += 1
    save_weights(network.state_dict(), tmp_path / "two.pt")
    assert (tmp_path / "one.pt").read_bytes() != (tmp_path / "two.pt").read_bytes()
