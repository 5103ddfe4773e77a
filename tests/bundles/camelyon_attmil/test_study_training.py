"""Training on bags against a slow loop, the choice of the epoch, and the changes of stained patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import combine_stains, hed_from_rgb, rgb_from_hed, separate_stains
from torch.nn import functional as F

from shared.data.errors import DataError

FEATURES = 6


@pytest.fixture
def draw_bags(scripts):
    """Bags with a label that the greatest first feature decides."""

    def draw(number, seed, size=5):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(1, size + 1, number)
        instances = rng.normal(size=(lengths.sum(), FEATURES)).astype(np.float32)
        labels = rng.integers(0, 2, number)
        ends = np.cumsum(lengths)
        for end, length, label in zip(ends, lengths, labels, strict=True):
            instances[end - length : end, 0] = -1
            instances[end - 1, 0] = 3 if label else -1
        return scripts("study.bags").Bags(
            torch.tensor(instances), torch.tensor(lengths), torch.tensor(labels), tuple(map(str, range(number)))
        )

    return draw


@pytest.fixture
def build(scripts):
    def make(name="gated_attention", dropout=0.0):
        torch.manual_seed(5)
        encoder = scripts("study.perceptron").InstancePerceptron(FEATURES, (8, 4), dropout)
        return scripts("networks").assemble(name, attention_dimension=3, encoder=encoder)

    return make


@pytest.fixture
def settings(scripts):
    values = {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 0.01, "epochs": 3, "choose": False}
    return lambda **changes: scripts("study.bag_training").TrainingSettings(**{**values, **changes})


def test_steps_are_those_of_a_slow_loop_over_bags(scripts, build, draw_bags, settings):
    bags = draw_bags(7, seed=1)
    trained = scripts("study.bag_training").train_bags(build(), bags, None, settings(bags_per_step=3), seed=11)
    network, generator = build(), torch.Generator().manual_seed(11)
    velocity = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for _ in range(3):
        for step in torch.randperm(7, generator=generator).split(3):
            network.zero_grad()
            losses = []
            for index in step.tolist():
                bag = bags.of([index])
                logit = network(bag.instances[None]).squeeze()
                losses.append(F.softplus(-logit if int(bag.labels[0]) else logit))
            torch.stack(losses).mean().backward()
            with torch.no_grad():
                for name, value in network.named_parameters():
                    velocity[name] = 0.9 * velocity[name] + value.grad + 0.01 * value
                    value -= 0.05 * velocity[name]
    for name, value in trained.network.named_parameters():
        torch.testing.assert_close(value, network.get_parameter(name), rtol=1e-4, atol=1e-6)
    assert (trained.best_epoch, trained.epochs) == (3, 3)
    assert not trained.network.training


def test_the_epoch_with_the_least_loss_and_error_is_taken(scripts, build, draw_bags, settings):
    module = scripts("study.bag_training")
    training, validation = draw_bags(12, seed=1), draw_bags(9, seed=2)
    options = {"optimizer": "adam", "learning_rate": 0.05, "weight_decay": 0.0, "bags_per_step": 4}
    values = []
    for epochs in range(1, 9):
        network = module.train_bags(build(), training, None, settings(**options, epochs=epochs), 3).network
        logits, targets = module.predict_bags(network, validation), validation.labels.float()
        loss = F.binary_cross_entropy(torch.sigmoid(logits), targets)
        values.append(float(loss + ((logits > 0) != (targets == 1)).float().mean()))
    trained = module.train_bags(build(), training, validation, settings(**options, epochs=8, choose=True), 3)
    best = int(np.argmin(values))
    assert trained.best_epoch == best + 1
    assert trained.best_value == pytest.approx(values[best], abs=1e-5)
    expected = module.train_bags(build(), training, None, settings(**options, epochs=best + 1), 3).network
    for name, value in trained.network.named_parameters():
        torch.testing.assert_close(value, expected.get_parameter(name))


def test_the_weights_of_the_last_epochs_are_averaged(scripts, build, draw_bags, settings):
    train, bags = scripts("study.bag_training").train_bags, draw_bags(6, seed=1)

    def weights(**changes):
        network = train(build(), bags, None, settings(**changes), 3).network
        return torch.cat([value.detach().flatten() for value in network.parameters()])

    expected = torch.stack([weights(epochs=epochs) for epochs in (3, 4, 5)]).mean(0)
    torch.testing.assert_close(weights(epochs=5, averaged_epochs=3), expected)
    torch.testing.assert_close(weights(epochs=2, averaged_epochs=1), weights(epochs=2))


def test_patience_ends_a_training(scripts, build, draw_bags, settings):
    train = scripts("study.bag_training").train_bags
    training, validation = draw_bags(8, seed=1), draw_bags(8, seed=2)
    wrong = scripts("study.bags").Bags(
        validation.instances, validation.lengths, 1 - validation.labels, validation.ids
    )  # what is learned makes it worse from the first epoch on
    chosen = settings(optimizer="adam", learning_rate=0.02, epochs=50, patience=4, choose=True)
    trained = train(build(), training, wrong, chosen, 3)
    assert trained.epochs == trained.best_epoch + 4 < 50


def test_a_training_depends_on_its_seed_only(scripts, build, draw_bags, settings):
    train, bags = scripts("study.bag_training").train_bags, draw_bags(6, seed=1)

    def weights(seed):
        torch.rand(seed)  # what was drawn before does not matter
        network = train(build(dropout=0.5), bags, None, settings(instances_per_bag=2), seed).network
        return torch.cat([value.detach().flatten() for value in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_random_instances_of_a_bag_without_repetition(scripts, draw_bags):
    drawn = scripts("study.bag_training")._drawn
    bags = draw_bags(20, seed=4, size=9)
    bags = bags.with_instances(torch.arange(len(bags.instances)))
    generator, chosen = torch.Generator().manual_seed(0), torch.tensor([3, 17, 5, 11])
    counts = torch.zeros(len(bags.instances))
    for _ in range(300):
        rows, lengths = drawn(bags, chosen, 3, generator)
        assert lengths.tolist() == bags.lengths[chosen].clamp(max=3).tolist()
        for bag, part in zip(chosen.tolist(), rows.split(lengths.tolist()), strict=True):
            assert len(set(part.tolist())) == len(part)
            assert set(part.tolist()) <= set(bags.rows(torch.tensor([bag])).tolist())
        counts[rows] += 1
    for bag in chosen.tolist():
        share = counts[bags.rows(torch.tensor([bag]))] / 300
        expected = min(3, int(bags.lengths[bag])) / int(bags.lengths[bag])
        torch.testing.assert_close(share, torch.full_like(share, expected), atol=0.15, rtol=0)


def test_the_task_is_learned_and_bags_are_judged_whole(scripts, build, draw_bags, settings):
    module = scripts("study.bag_training")
    options = settings(optimizer="adam", learning_rate=0.01, epochs=40, bags_per_step=4, instances_per_bag=8)
    trained = module.train_bags(build("max_instance"), draw_bags(60, seed=1), None, options, 3)
    test = draw_bags(50, seed=2)
    logits = module.predict_bags(trained.network, test)
    assert ((logits > 0) == (test.labels == 1)).float().mean() > 0.9
    alone = torch.cat([trained.network(test.of([bag]).instances[None]).detach().flatten() for bag in range(50)])
    torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-5)


def test_images_train_in_both_precisions(scripts, settings):
    module = scripts("study.bag_training")
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 1, 28, 28, generator=generator)
    bags = scripts("study.bags").Bags(images, torch.full((8,), 5), torch.tensor([0, 1] * 4), tuple(map(str, range(8))))
    logits = []
    for amp in (False, True):
        torch.manual_seed(0)
        network = scripts("networks").assemble("gated_attention", encoder=scripts("encoders").MnistEncoder())
        options = settings(optimizer="adam", learning_rate=1e-3, epochs=2, bags_per_step=4, amp=amp)
        logits.append(module.predict_bags(module.train_bags(network, bags, None, options, 0).network, bags))
    assert {value.dtype for value in logits} == {torch.float32}
    torch.testing.assert_close(*logits, atol=0.1, rtol=0.1)


def test_wrong_settings_are_named(scripts, build, draw_bags, settings):
    train, bags = scripts("study.bag_training").train_bags, draw_bags(4, seed=1)
    with pytest.raises(DataError, match="no validation bags to choose the epoch on"):
        train(build(), bags, None, settings(choose=True), 0)
    with pytest.raises(DataError, match="averaged_epochs is 4, expected 1 to the number of epochs, 3"):
        train(build(), bags, None, settings(averaged_epochs=4), 0)
    with pytest.raises(DataError, match="no optimizer 'lamb'"):
        train(build(), bags, None, settings(optimizer="lamb"), 0)
    with pytest.raises(DataError, match="validation loss of epoch 1 is not finite"):
        train(build(), bags, bags, settings(learning_rate=1e30, choose=True), 0)


@pytest.fixture
def patches():
    return torch.randint(0, 256, (16, 3, 7, 7), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_colours_are_standardised(scripts, patches):
    module = scripts("study.patch_augmentation")
    mean, deviation = module.patch_statistics(patches)
    grey = patches.numpy().transpose(1, 0, 2, 3).reshape(3, -1) / 255
    np.testing.assert_allclose(mean, grey.mean(1), rtol=1e-5)
    np.testing.assert_allclose(deviation, grey.std(1), rtol=1e-5)
    ready = module.standardised_patches(patches, mean, deviation).numpy()
    expected = (patches.numpy() / 255 - grey.mean(1)[:, None, None]) / grey.std(1)[:, None, None]
    np.testing.assert_allclose(ready, expected, atol=1e-5)


def orientations(patch):
    return [np.rot90(flipped, turns, (1, 2)) for flipped in (patch, patch[:, ::-1]) for turns in range(4)]


def test_patches_are_mirrored_and_turned(scripts, patches):
    module = scripts("study.patch_augmentation")
    mean, deviation = torch.zeros(3), torch.full((3,), 1 / 255)
    change = module.PatchAugmentation(mean, deviation, 0.0)
    seen = set()
    for seed in range(20):
        changed = change(patches, torch.Generator().manual_seed(seed)).round().numpy()
        for before, after in zip(patches.numpy(), changed, strict=True):
            matching = [index for index, turned in enumerate(orientations(before)) if (turned == after).all()]
            assert len(matching) == 1
            seen.add(matching[0])
    assert seen == set(range(8))


def test_stains_change_as_by_separating_and_mixing_them(scripts):
    """Against scikit-image's own separation, with the factors drawn once more."""
    module = scripts("study.patch_augmentation")
    # of one colour, so that orientations do not matter; not too light, so that no colour exceeds white
    colours = torch.tensor([[120, 60, 140], [190, 110, 170], [90, 80, 160]], dtype=torch.uint8)
    patches = colours[:, :, None, None].expand(3, 3, 5, 5).contiguous()
    change = module.PatchAugmentation(torch.zeros(3), torch.ones(3), 0.1)
    changed = change(patches, torch.Generator().manual_seed(2)).numpy()
    generator = torch.Generator().manual_seed(2)
    torch.rand(3, 3, generator=generator)
    factors = np.ones((3, 3))
    factors[:, :2] += 0.1 * torch.randn(3, 2, generator=generator).numpy()
    for colour, factor, after in zip(colours.numpy(), factors, changed, strict=True):
        density = -np.log(colour / 255)
        expected = np.exp(-(density @ np.asarray(hed_from_rgb) * factor) @ np.asarray(rgb_from_hed))
        np.testing.assert_allclose(after, np.broadcast_to(expected[:, None, None], (3, 5, 5)), rtol=1e-4)
    # scikit-image cuts negative amounts of a stain off, so only a colour without them compares
    stained = combine_stains(np.array([[[0.05, 0.03, 0.01]]]), rgb_from_hed)
    amounts = separate_stains(stained, hed_from_rgb)
    np.testing.assert_allclose(amounts, [[[0.05, 0.03, 0.01]]], rtol=1e-6)
    density = -np.log(stained[0, 0])
    np.testing.assert_allclose(density @ np.asarray(hed_from_rgb) / -np.log(1e-6), amounts[0, 0], rtol=1e-6)
