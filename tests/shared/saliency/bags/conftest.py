"""Small bag classifiers, and the model itself as an oracle of subsets."""

import pytest
import torch
from torch import nn

from shared.mil.levels import EmbeddingLevel, InstanceLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.log_mean_exp import LogMeanExpPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.pooling.noisy_or import NoisyOrPooling

N, E, D = 9, 5, 6
POOLINGS = {
    "attention": lambda width: AttentionPooling(width, D),
    "gated attention": lambda width: GatedAttentionPooling(width, D),
    "attention and maximum": lambda width: _with_gains(width),
    "mean": lambda width: MeanPooling(),
    "max": lambda width: MaxPooling(),
    "log-mean-exp": lambda width: LogMeanExpPooling(2.5),
    "noisy-or": lambda width: NoisyOrPooling(),
}


def _with_gains(width):
    pooling = AttentionMaximumPooling(width, D)
    pooling.gain.data = torch.linspace(-0.2, 0.3, width)
    return pooling


class Encoded(nn.Module):
    """A network with an encoder of each instance before the level."""

    def __init__(self, encoder, level):
        super().__init__()
        self.encoder, self.level = encoder, level

    def forward(self, features, lengths):
        return self.level(self.encoder(features), lengths)


@pytest.fixture
def build():
    """``build(pooling, head, encoder, level, logits)`` makes a classifier of bags of E features."""

    def make(pooling="attention", head="linear", encoder=False, level="embedding", logits=1):
        torch.manual_seed(3)
        width = E if level == "embedding" else logits
        pool = POOLINGS[pooling](width)
        for parameter in pool.parameters():
            parameter.data *= 3
        last = (
            nn.Sequential(nn.Dropout(0.5), nn.Linear(E, logits))
            if head == "linear"
            else nn.Sequential(nn.Linear(E, 7), nn.ReLU(), nn.Linear(7, logits))
        )
        body = EmbeddingLevel(pool, last) if level == "embedding" else InstanceLevel(last, pool)
        if not encoder:
            return body
        return Encoded(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, E)), body)

    return make


@pytest.fixture
def features():
    return 2 * torch.randn(N, E, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def value_of():
    """``value_of(model, features, output)`` gives a function that calls the model for the bag of some instances."""

    def make(model, features, output="logit", target=0):
        import copy

        model = copy.deepcopy(model).double().eval()
        level = getattr(model, "level", model)
        empty = list(level.head)[-1].bias.detach()

        def value(members):
            members = list(members)
            with torch.no_grad():
                logits = empty
                if members:
                    logits = model(features[members].double(), torch.tensor([len(members)]))[0]
            if output == "probability":
                logits = logits.sigmoid() if len(logits) == 1 else logits.softmax(0)
            return float(logits[target])

        return value

    return make
