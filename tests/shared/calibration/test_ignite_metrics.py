import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from ignite.exceptions import NotComputableError
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import from_engine
from monai.transforms import Activationsd

from shared.calibration.calibration_error import classwise_calibration_error, top_label_calibration_error
from shared.calibration.ignite_metrics import CalibrationErrorMetric


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(3, 0.5), size=101), rng.integers(0, 3, 101)


def accumulate(metric, probabilities, labels, size):
    for start in range(0, len(labels), size):
        rows = slice(start, start + size)
        metric.update((torch.from_numpy(probabilities[rows]), torch.from_numpy(labels[rows])))
    return metric.compute()


@pytest.mark.parametrize("scope", ["top_label", "classwise"])
@pytest.mark.parametrize("size", [1, 16, 101])
def test_batches_do_not_matter(predictions, scope, size):
    function = top_label_calibration_error if scope == "top_label" else classwise_calibration_error
    for norm, binning in (("l1", "equal_width"), ("max", "equal_mass")):
        metric = CalibrationErrorMetric(n_bins=8, norm=norm, binning=binning, scope=scope)
        expected = function(*predictions, n_bins=8, norm=norm, binning=binning)
        assert accumulate(metric, *predictions, size) == pytest.approx(expected)


def test_reset_forgets(predictions):
    metric = CalibrationErrorMetric()
    accumulate(metric, *predictions, 10)
    metric.reset()
    with pytest.raises(NotComputableError, match="at least one batch"):
        metric.compute()
    assert accumulate(metric, *predictions, 10) == pytest.approx(top_label_calibration_error(*predictions))


def test_lists_and_columns_are_understood(predictions):
    probabilities, labels = (torch.from_numpy(part) for part in predictions)
    as_lists, as_columns = CalibrationErrorMetric(), CalibrationErrorMetric()
    as_lists.update((list(MetaTensor(probabilities)), [int(label) for label in labels]))
    as_columns.update((probabilities.float(), labels[:, None]))
    assert as_lists.compute() == pytest.approx(top_label_calibration_error(*predictions))
    assert as_columns.compute() == pytest.approx(top_label_calibration_error(*predictions), abs=1e-6)


def test_logits_and_wrong_shapes_are_refused():
    metric = CalibrationErrorMetric()
    with pytest.raises(ValueError, match="3 labels"):
        metric.update((torch.rand(2, 4), torch.zeros(3)))
    metric.update((torch.tensor([[3.0, -1.0]]), torch.tensor([0])))
    with pytest.raises(ValueError, match="not logits"):
        metric.compute()
    with pytest.raises(ValueError, match="scope must be one of"):
        CalibrationErrorMetric(scope="label")


def test_works_in_an_evaluator_of_monai():
    torch.manual_seed(0)
    data = [{"image": torch.randn(5), "label": int(label)} for label in torch.randint(0, 3, (37,))]
    network = torch.nn.Linear(5, 3)
    outputs = from_engine(["pred", "label"])
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=8),
        network=network,
        postprocessing=Activationsd("pred", softmax=True),
        key_val_metric={"largest": CalibrationErrorMetric(output_transform=outputs, n_bins=10, norm="max")},
        additional_metrics={"calibration_error": CalibrationErrorMetric(output_transform=outputs, n_bins=10)},
    )
    with torch.no_grad():
        probabilities = network(torch.stack([record["image"] for record in data])).softmax(1).numpy()
    expected = top_label_calibration_error(probabilities, [record["label"] for record in data], n_bins=10)
    for _ in range(2):
        evaluator.run()
        assert evaluator.state.metrics["calibration_error"] == pytest.approx(expected, abs=1e-6)


def _process(rank, probabilities, labels, rendezvous, results):
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    rows = slice(0, 30) if rank == 0 else slice(30, None)  # the processes hold different numbers of samples
    results[rank] = accumulate(CalibrationErrorMetric(n_bins=8), probabilities[rows], labels[rows], 7)
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_are_pooled(predictions, tmp_path, repository, monkeypatch):
    monkeypatch.syspath_prepend(repository)  # the processes import this file by name
    results = mp.get_context("spawn").Manager().dict()
    mp.spawn(_process, args=(*predictions, tmp_path / "rendezvous", results), nprocs=2)
    expected = top_label_calibration_error(*predictions, n_bins=8)
    assert dict(results) == pytest.approx({0: expected, 1: expected})
