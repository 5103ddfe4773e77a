import pytest
import torch

from shared.mil.shapley.running_pooling import RunningLogMeanExp, RunningMax, RunningPair, RunningWeightedMean

N, E = 13, 4


@pytest.fixture
def embeddings():
    return torch.randn(N, E, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def logits():
    return 30 * torch.rand(N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


CASES = {
    "mean": (lambda h, _: RunningWeightedMean(h), lambda h, _: h.mean(dim=0)),
    "attention": (RunningWeightedMean, lambda h, a: a.softmax(dim=0) @ h),
    "max": (lambda h, _: RunningMax(h), lambda h, _: h.amax(dim=0)),
    "attention and max": (
        lambda h, a: RunningPair(RunningWeightedMean(h[:, :1], a), RunningMax(h[:, 1:])),
        lambda h, a: torch.cat([a.softmax(dim=0) @ h[:, :1], h[:, 1:].amax(dim=0)]),
    ),
    "log-mean-exp": (lambda h, _: RunningLogMeanExp(h, 3.0), lambda h, _: (3 * h).exp().mean(dim=0).log() / 3),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("pieces", [[N], [1, 5, 7], [1] * N])
def test_every_prefix_is_pooled_as_by_itself(name, pieces, embeddings, logits):
    running_type, pool = CASES[name]
    running = running_type(embeddings, logits)
    orders = torch.stack([torch.randperm(N, generator=torch.Generator().manual_seed(seed)) for seed in range(3)])
    done, carried, pooled = 0, None, []
    for part in orders.split(pieces, dim=1):
        some, carried = running.step(part, done, carried)
        pooled.append(some)
        done += part.shape[1]
    pooled = torch.cat(pooled, dim=1)
    assert pooled.shape == (3, N, E)
    assert running.embedding == E
    for row, order in zip(pooled, orders, strict=True):
        for size in range(1, N + 1):
            members = order[:size]
            torch.testing.assert_close(row[size - 1], pool(embeddings[members], logits[members]))


def test_light_instances_first(embeddings):
    logits = torch.full((N,), -1e9, dtype=torch.float64)
    logits[5:] = 700.0
    pooled, _ = RunningWeightedMean(embeddings, logits).step(torch.arange(N)[None], 0, None)
    torch.testing.assert_close(pooled[0, 4], embeddings[:5].mean(dim=0))
    torch.testing.assert_close(pooled[0, 9], embeddings[5:10].mean(dim=0))


def test_says_what_cannot_be_accumulated(embeddings):
    with pytest.raises(ValueError, match="leave out instances without weight"):
        RunningWeightedMean(embeddings, torch.full((N,), -torch.inf))
    with pytest.raises(ValueError, match=r"13 attention logits, found shape \(2,\)"):
        RunningWeightedMean(embeddings, torch.zeros(2))
    with pytest.raises(ValueError, match="span 1200 without a gap"):
        RunningWeightedMean(torch.zeros(101, 1), torch.linspace(0, 1200, 101))
    with pytest.raises(ValueError, match=r"\(N, E\), found shape \(3,\)"):
        RunningMax(torch.zeros(3))
    with pytest.raises(ValueError, match="r must be finite and not 0"):
        RunningLogMeanExp(embeddings, 0.0)
