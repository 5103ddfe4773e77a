"""One run: train a network on bags, then keep what it says of the held-out bags and of their instances."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scripts.encoders import ColonEncoder, MnistEncoder
from scripts.networks import BagClassifier, assemble
from scripts.study.bag_parts import Parts, bag_parts
from scripts.study.bag_training import Trained, predict_bags, train_bags
from scripts.study.bags import Bags
from scripts.study.grid import Run
from scripts.study.perceptron import InstancePerceptron
from scripts.study.settings import BagStudySettings
from scripts.study.workshop import BagWorkshop
from shared.evaluation.instance_ranking import instance_ranking
from shared.mil.levels import EmbeddingLevel, InstanceLevel
from shared.mil.pooling.attention import AttentionPooling

__all__ = ["build_network", "do_run", "trained_network"]

#: instances that are embedded at once
CHUNK = 2048


def do_run(workshop: BagWorkshop, run: Run) -> None:
    """Train and measure, and write the result atomically.

    The result holds of the held-out bags ``test_index``, ``test_labels`` and ``test_logits``; of networks that value
    each instance also ``instance_values``, and, where it is known which instances are to be found, ``instance_auc``,
    how well the values single them out in each bag (NaN where a bag has none, or only such).
    """
    started = time.time()
    settings = workshop.settings
    parts = bag_parts(settings, workshop.data, run)
    trained = trained_network(settings, run, parts)
    arrays = {
        "test_index": parts.test_index,
        "test_labels": parts.test.labels.numpy(),
        "test_logits": predict_bags(trained.network, parts.test).double().numpy(),
    }
    values = instance_values(trained.network, parts.test)
    if values is not None:
        arrays["instance_values"] = values
        if parts.test.truth is not None:
            ranking = instance_ranking(values, parts.test.truth.numpy(), parts.test.lengths.numpy())
            arrays["instance_auc"] = ranking["instance_auc"]["value"]
    facts = {"best_epoch": trained.best_epoch, "best_value": trained.best_value, "epochs": trained.epochs}
    workshop.write_result(run, arrays, facts, seconds=time.time() - started)


def trained_network(settings: BagStudySettings, run: Run, parts: Parts) -> Trained:
    """Build and train the network of a run."""
    torch.manual_seed(run.seed)
    network = build_network(settings, run.model, parts.test.instances)
    if (standardisation := network.standardisation()) is not None:
        standardisation.fit(parts.training.instances.split(parts.training.lengths.tolist()))
    training = settings.training_of(run.condition)
    return train_bags(network, parts.training, parts.validation, training, run.seed, parts.augment)


def build_network(settings: BagStudySettings, model: str, instances: torch.Tensor) -> BagClassifier:
    """Return an untrained network; its weights follow torch's seed.

    Args:
        settings: of the study.
        model: name of the model in the settings.
        instances: any ``(T, ...)``, for their shape.
    """
    arguments = dict(settings.encoder)
    name = settings.models[model]["network"]
    arguments |= {key: value for key, value in settings.models[model].items() if key not in ("title", "network")}
    if settings.data in ("planted", "slides"):
        features = instances.shape[1]
        return assemble(name, features, attention_dimension=settings.attention_dimension, **arguments)
    encoder: nn.Module
    if settings.data == "classic":
        encoder = InstancePerceptron(instances.shape[1], **arguments)
    elif settings.data == "mnist":
        encoder = MnistEncoder(instances.shape[-1], **arguments)
    else:
        encoder = ColonEncoder(instances.shape[-1], **arguments)
    return assemble(name, attention_dimension=settings.attention_dimension, encoder=encoder)


@torch.no_grad()
def instance_values(network: BagClassifier, bags: Bags) -> NDArray[np.float32] | None:
    """Return the attention's weight of each instance, or its logit where logits are pooled, ``(T,)``; else None."""
    if isinstance(network.level, EmbeddingLevel) and not isinstance(network.level.pooling, AttentionPooling):
        return None
    described = network.described(bags.instances, bags.lengths)
    embeddings = torch.cat([network.embed(part) for part in described.split(CHUNK)])
    if isinstance(network.level, InstanceLevel):
        values = network.level.instance_logits(embeddings, bags.lengths).squeeze(1)
    else:
        values = network.level.instance_weights(embeddings, bags.lengths)
    return values.float().numpy()
