"""The networks against the paper's equations written slowly, and the same numbers however the bags are presented."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shared.data.errors import DataError

NAMES = ("ImageClassifier", "AttributePerceptron", "AveragedClassifier", "MixtureOfExperts")
SIZE = 40
ATTRIBUTES = torch.tensor([[78.0, 13.6], [45.0, 5.1], [66.0, 90.0]])
LENGTHS = torch.tensor([3, 1, 4])


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def networks(scripts):
    return scripts("networks")


@pytest.fixture
def build(networks):
    """Build a network with weights and buffers that are nobody's default, in evaluation mode."""

    def build(name, seed=0, **options):
        torch.manual_seed(seed)
        image_expert = networks.ImageClassifier(width=4, image_size=SIZE, **options)
        network = networks.assemble(name, image_expert, networks.AttributePerceptron())
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
        for buffer in (image_expert.centring.mean_image,):
            buffer.uniform_(0.3, 0.7)
        perceptron = network if name == "AttributePerceptron" else getattr(network, "attribute_expert", None)
        if perceptron is not None:
            perceptron.standardisation.fit(ATTRIBUTES)
        return network.eval()

    return build


@pytest.fixture(scope="module")
def images():
    return torch.rand(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


class TestResNet:
    """Sizes of table 1, at its image size and at half of it."""

    @pytest.mark.parametrize(("size", "expected"), [(224, (112, 56, 28, 14, 7)), (112, (56, 28, 14, 7, 4))])
    def test_sizes_of_table_1(self, scripts, size, expected):
        encoder = scripts("resnet").ResNetEncoder(width=8, image_size=size).eval()
        z, found, channels = torch.zeros(1, 3, size, size), [], []
        for stage in (encoder.conv1, encoder.conv2, encoder.conv3, encoder.conv4, encoder.conv5):
            z = stage(z)
            found.append(z.shape[-1])
            channels.append(z.shape[1])
        assert tuple(found) == expected
        assert channels == [8, 8, 16, 32, 64]
        assert encoder.embedding_size == expected[-1] ** 2 * 64
        assert encoder(torch.zeros(2, 3, size, size)).shape == (2, encoder.embedding_size)

    def test_layers_of_table_1(self, scripts):
        """One residual block of two 3 × 3 convolutions in each of four stages, behind a 7 × 7 convolution."""
        resnet = scripts("resnet")
        encoder = resnet.ResNetEncoder(width=16)
        blocks = [module for module in encoder.modules() if isinstance(module, resnet.ResidualBlock)]
        assert len(blocks) == 4
        for block, width in zip(blocks, (16, 32, 64, 128), strict=True):
            assert [block.conv1.out_channels, block.conv2.out_channels] == [width, width]
            assert block.conv1.kernel_size == block.conv2.kernel_size == (3, 3)
        assert (encoder.conv1[0].kernel_size, encoder.conv1[0].stride) == ((7, 7), (2, 2))

    def test_block_written_slowly(self, scripts):
        torch.manual_seed(0)
        block = scripts("resnet").ResidualBlock(3, 5, stride=2).eval()
        x = torch.randn(2, 3, 9, 9)
        z = F.conv2d(x, block.conv1.weight, stride=2, padding=1) / math.sqrt(1 + block.bn1.eps)
        z = F.conv2d(z.clamp(min=0), block.conv2.weight, padding=1) / math.sqrt(1 + block.bn2.eps)
        direct = F.conv2d(x, block.shortcut[0].weight, stride=2) / math.sqrt(1 + block.bn2.eps)
        torch.testing.assert_close(block(x), (z + direct).clamp(min=0))

    def test_every_rectifier_is_a_module_of_its_own(self, scripts):
        encoder = scripts("resnet").ResNetEncoder(width=4, image_size=SIZE)
        calls = {module: 0 for module in encoder.modules() if isinstance(module, nn.ReLU)}
        for module in calls:
            module.register_forward_hook(lambda module, *_: calls.__setitem__(module, calls[module] + 1))
        encoder(torch.rand(1, 3, SIZE, SIZE))
        assert len(calls) == 9
        assert set(calls.values()) == {1}

    def test_global_pooling(self, scripts, images):
        encoder = scripts("resnet").ResNetEncoder(width=4, image_size=SIZE, global_pooling=True).eval()
        maps = encoder.feature_maps(images)
        assert encoder.embedding_size == 32
        torch.testing.assert_close(encoder(images), maps.sum((2, 3)) / (maps.shape[2] * maps.shape[3]))


class TestEquations:
    """Equations 5, 8, 11 and 14 to 18, one patient after the other in plain Python."""

    @torch.no_grad()
    def single(self, network, images, attributes):
        """Return the logits of both experts and the gate for one patient, step by step."""
        image_expert, perceptron = network.image_expert, network.attribute_expert
        h = [image_expert.resnet((x - image_expert.centring.mean_image)[None])[0] for x in images]
        p = sum(h) / len(h)
        cnn = float(image_expert.head.weight[0] @ p + image_expert.head.bias)
        values = [ATTRIBUTES[:, 0].double(), ATTRIBUTES[:, 1].double().log()]
        raw = [float(attributes[0]), math.log(attributes[1])]
        a, c = (
            (x - float(v.mean())) / math.sqrt(float(((v - v.mean()) ** 2).mean()))
            for x, v in zip(raw, values, strict=True)
        )
        weights, biases = perceptron.hidden.weight.tolist(), perceptron.hidden.bias.tolist()
        hidden = [1 / (1 + math.exp(-(w[0] * a + w[1] * c + b))) for w, b in zip(weights, biases, strict=True)]
        assert len(hidden) == 2
        mlp = sum(w * u for w, u in zip(perceptron.head.weight[0].tolist(), hidden, strict=True))
        return cnn, mlp + float(perceptron.head.bias), p, a, c

    def test_average(self, build, images):
        network = build("AveragedClassifier")
        found = network(images, LENGTHS, ATTRIBUTES).detach()
        for index, bag in enumerate(images.split(LENGTHS.tolist())):
            cnn, mlp, *_ = self.single(network, bag, ATTRIBUTES[index])
            assert float(found[index]) == pytest.approx((cnn + mlp) / 2, abs=1e-5)

    @torch.no_grad()
    def test_mixture(self, build, images):
        network = build("MixtureOfExperts")
        outputs = network.outputs(images, LENGTHS, ATTRIBUTES)
        for index, bag in enumerate(images.split(LENGTHS.tolist())):
            cnn, mlp, p, a, c = self.single(network, bag, ATTRIBUTES[index])
            kernel = float(network.gate_kernel.weight[0] @ p)
            theta = network.gate_head.weight[0].tolist()
            pi = 1 / (1 + math.exp(-(theta[0] * kernel + theta[1] * a + theta[2] * c + float(network.gate_head.bias))))
            probability = pi / (1 + math.exp(-cnn)) + (1 - pi) / (1 + math.exp(-mlp))
            assert outputs["expert_logits"][index].tolist() == pytest.approx([cnn, mlp], abs=1e-5)
            assert float(outputs["gate"][index]) == pytest.approx(pi, abs=1e-6)
            assert float(outputs["logits"][index].sigmoid()) == pytest.approx(probability, abs=1e-6)

    def test_experts_alone_are_the_experts_of_the_mixture(self, build, images):
        mixture = build("MixtureOfExperts")
        logits = mixture.expert_logits(images, LENGTHS, ATTRIBUTES)
        torch.testing.assert_close(mixture.image_expert(images, LENGTHS), logits[:, :1])
        torch.testing.assert_close(mixture.attribute_expert(images, LENGTHS, ATTRIBUTES), logits[:, 1:])

    def test_cross_entropy_of_the_logit_is_equation_18(self, build, scripts, images):
        """Loss and gradient equal those of the mixture likelihood written with probabilities."""
        network = build("MixtureOfExperts").double()
        labels = torch.tensor([1, 0, 1])
        outputs = network.outputs(images.double(), LENGTHS, ATTRIBUTES)
        assert {value.dtype for value in outputs.values()} == {torch.float64}
        loss = scripts("losses").BagLoss()(outputs, labels)
        pi, experts = outputs["gate"], outputs["expert_logits"].sigmoid()
        p = pi * experts[:, 0] + (1 - pi) * experts[:, 1]
        expected = -(torch.where(labels == 1, p, 1 - p).log()).mean()
        torch.testing.assert_close(loss, expected)
        parameters = list(network.parameters())
        for ours, theirs in zip(
            torch.autograd.grad(loss, parameters, retain_graph=True),
            torch.autograd.grad(expected, parameters),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs)


class TestStability:
    """The mixture's logit where probabilities round to 0 or 1."""

    def exact(self, gate, experts):
        """Return the logit in exact rational arithmetic with e as a rational number."""

        def power(x):
            return Fraction(math.e) ** int(x)

        def sigmoid(x):
            return power(x) / (1 + power(x))

        tumoral = sigmoid(gate) * sigmoid(experts[0]) + sigmoid(-gate) * sigmoid(experts[1])
        reactive = sigmoid(gate) * sigmoid(-experts[0]) + sigmoid(-gate) * sigmoid(-experts[1])
        ratio = tumoral / reactive
        return math.log(ratio.numerator) - math.log(ratio.denominator)

    @pytest.mark.parametrize("gate", [-300, -20, 0, 7, 300])
    @pytest.mark.parametrize("experts", [(-200, 3), (0, 0), (90, -90), (40, 41), (-100, -150)])
    def test_equals_exact_arithmetic(self, build, gate, experts):
        combine = build("MixtureOfExperts").combine
        logits = torch.tensor([experts], dtype=torch.float64, requires_grad=True)
        gates = torch.tensor([float(gate)], dtype=torch.float64, requires_grad=True)
        found = combine(logits, gates)
        assert float(found.detach()) == pytest.approx(self.exact(gate, experts), rel=1e-12, abs=1e-12)
        for gradient in torch.autograd.grad(found.sum(), [logits, gates]):
            assert gradient.isfinite().all()

    def test_single_precision_stays_finite(self, build):
        combine = build("MixtureOfExperts").combine
        experts = torch.tensor([[120.0, -500.0], [120.0, 400.0]])
        found = combine(experts, torch.tensor([50.0, 0.0]))
        assert found.isfinite().all()
        # the gate leaves e^-50 to the expert on attributes, who is sure of the contrary
        torch.testing.assert_close(found, torch.tensor([50.0, 120.0 + math.log(2)]))


class TestBags:
    """A bag's numbers do not depend on what it is presented with."""

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("pooling", ["mean", "max", "log_mean_exp", "attention"])
    def test_ragged_single_dense_permuted(self, build, images, name, pooling):
        network = build(name, pooling=pooling)
        together = network(images, LENGTHS, ATTRIBUTES)
        assert together.shape == (3, 1)
        order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
        for index, bag in enumerate(images.split(LENGTHS.tolist())):
            of_one = ATTRIBUTES[index : index + 1]
            alone = network(bag, LENGTHS[index : index + 1], of_one)
            dense = network(bag[None], None, of_one)
            shuffled = network(bag[order[order < len(bag)]], LENGTHS[index : index + 1], of_one)
            for found in (alone, dense, shuffled):
                torch.testing.assert_close(found, together[index : index + 1], rtol=1e-5, atol=1e-5)
        if name != "AttributePerceptron":
            assert (together - together[0]).abs().max() > 1e-4

    @pytest.mark.parametrize("name", NAMES)
    def test_scripted(self, build, images, name):
        network = build(name, pooling="attention")
        scripted = torch.jit.script(network)
        torch.testing.assert_close(scripted(images, LENGTHS, ATTRIBUTES), network(images, LENGTHS, ATTRIBUTES))
        torch.testing.assert_close(scripted(images.unflatten(0, (2, 4))), network(images.unflatten(0, (2, 4))))

    @pytest.mark.parametrize("name", ["AttributePerceptron", "MixtureOfExperts"])
    def test_no_attributes_are_the_training_means(self, build, images, name):
        network = build(name)
        means = torch.tensor([ATTRIBUTES[:, 0].mean(), ATTRIBUTES[:, 1].log().mean().exp()])
        torch.testing.assert_close(
            network(images, LENGTHS), network(images, LENGTHS, means.expand(3, 2)), rtol=1e-4, atol=1e-5
        )
        assert not torch.allclose(network(images, LENGTHS), network(images, LENGTHS, ATTRIBUTES))

    def test_integers_and_floats(self, build):
        network = build("MixtureOfExperts")
        integers = torch.randint(256, (8, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(2)).byte()
        before = integers.clone()
        torch.testing.assert_close(network(integers, LENGTHS, ATTRIBUTES), network(integers / 255, LENGTHS, ATTRIBUTES))
        assert torch.equal(integers, before)

    def test_instance_weights(self, build, images):
        network = build("MixtureOfExperts", pooling="attention")
        weights = network.instance_weights(images, LENGTHS)
        h = network.cell_embeddings(images)
        bags = zip(weights.split(LENGTHS.tolist()), h.split(LENGTHS.tolist()), strict=True)
        pooled = torch.stack([(w[:, None] * e).sum(0) for w, e in bags])
        torch.testing.assert_close(pooled, network.outputs(images, LENGTHS)["embedding"])
        with pytest.raises(TypeError, match="MaxPooling has no instance weights"):
            build("ImageClassifier", pooling="max").instance_weights(images, LENGTHS)

    def test_another_image_size_is_refused(self, build):
        with pytest.raises(ValueError, match="set image_size"):
            build("ImageClassifier")(torch.rand(1, 3, SIZE + 1, SIZE + 1), torch.tensor([1]))

    def test_unknown_names(self, networks, build):
        with pytest.raises(DataError, match=r"network_name: .* no 'CNN'; known: ImageClassifier, "):
            build("CNN")
        with pytest.raises(DataError, match="pooling: there is no 'median'; known: max, mean, "):
            networks.ImageClassifier(pooling="median")


class TestTrainingMode:
    def test_frozen_experts_do_not_change(self, build, scripts, images):
        network = build("MixtureOfExperts")
        network.freeze_experts()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
        network.train()
        scripts("losses").BagLoss()(network.outputs(images, LENGTHS, ATTRIBUTES), torch.tensor([1, 0, 0])).backward()
        optimizer.step()
        changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {"gate_kernel.weight", "gate_head.weight", "gate_head.bias"}

    def test_loss_of_the_average_trains_each_expert_by_its_own(self, build, scripts, images):
        """The gradients of an expert are those of its loss alone; the joint logit has no part in them."""
        labels, losses = torch.tensor([1, 0, 1]), scripts("losses")
        network = build("AveragedClassifier")
        losses.BagLoss(joint=0, experts=1)(network.outputs(images, LENGTHS, ATTRIBUTES), labels).backward()
        alone = build("AveragedClassifier")
        for expert in (alone.image_expert, alone.attribute_expert):
            logits = expert(images, LENGTHS, ATTRIBUTES)[:, 0]
            F.binary_cross_entropy_with_logits(logits, labels.float()).backward()
        for ours, theirs in zip(network.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)

    def test_tumoral_weight(self, scripts):
        logits, labels = torch.tensor([[0.3], [-1.0]]), torch.tensor([1, 0])
        loss = scripts("losses").BagLoss(tumoral_weight=3.0)({"logits": logits}, labels)
        expected = (-3 * math.log(1 / (1 + math.exp(-0.3))) - math.log(1 - 1 / (1 + math.exp(1.0)))) / 2
        assert float(loss) == pytest.approx(expected)

    def test_logits_keep_single_precision_under_autocast(self, build, images):
        network = build("MixtureOfExperts")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = network.outputs(images, LENGTHS, ATTRIBUTES)
        assert {value.dtype for value in outputs.values()} == {torch.float32}
        # what rounding there is comes from the encoder alone
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pooled = network.image_expert.bag_embeddings(images, LENGTHS)
        torch.testing.assert_close(network.image_expert.head(pooled)[:, 0], outputs["expert_logits"][:, 0])


class TestAttributes:
    def test_standardised(self, scripts):
        module = scripts("attributes").AttributeStandardisation(log_count=False).fit(ATTRIBUTES)
        standardised = module(ATTRIBUTES)
        torch.testing.assert_close(standardised.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
        torch.testing.assert_close(standardised.std(0, correction=0), torch.ones(2))
        logarithmic = scripts("attributes").AttributeStandardisation().fit(ATTRIBUTES)(ATTRIBUTES)
        torch.testing.assert_close(logarithmic[:, 0], standardised[:, 0])
        assert not torch.allclose(logarithmic[:, 1], standardised[:, 1])

    def test_a_constant_attribute_keeps_its_unit(self, scripts):
        module = scripts("attributes").AttributeStandardisation().fit([[50.0, 5.0], [50.0, 9.0]])
        torch.testing.assert_close(module(torch.tensor([[53.0, 6.0]]))[0, 0], torch.tensor(3.0))

    def test_impossible_values_are_named(self, scripts):
        with pytest.raises(ValueError, match=r"patient 1 are \[60.0, 0.0\]"):
            scripts("attributes").AttributeStandardisation().fit([[50.0, 5.0], [60.0, 0.0]])

    def test_statistics_are_part_of_the_weights(self, build):
        names = build("MixtureOfExperts").state_dict()
        assert {"attribute_expert.standardisation.centre", "image_expert.encoder.encoder.centring.mean_image"} <= set(
            names
        )


class TestFieldOfView:
    def test_looks_at_the_centre_only_and_equals_a_network_of_that_size(self, scripts):
        experts = scripts("experts")
        torch.manual_seed(0)
        whole = experts.ImageClassifier(width=8, image_size=40).eval()
        part = experts.ImageClassifier(width=8, image_size=64, field_of_view=40).eval()
        images = torch.rand(3, 3, 64, 64)
        state = {key: value for key, value in whole.state_dict().items() if "mean_image" not in key}
        state = {key: value for key, value in state.items() if not key.endswith("settings")}
        part.load_state_dict(part.state_dict() | state)
        centre = images[:, :, 12:52, 12:52]
        lengths = torch.tensor([1, 2])
        torch.testing.assert_close(part(images, lengths), whole(centre, lengths))
        changed = images.clone()
        changed[:, :, :12] = 0
        changed[:, :, :, 52:] = 0
        assert torch.equal(part(changed, lengths), part(images, lengths))

    @pytest.mark.parametrize("field", [0, 65])
    def test_a_field_that_is_not_within_the_image_is_refused(self, scripts, field):
        with pytest.raises(ValueError, match=r"field_of_view is \d+ pixels, expected at least 1 and at most"):
            scripts("experts").ImageClassifier(width=8, image_size=64, field_of_view=field)

    def test_weights_of_another_field_are_refused(self, scripts):
        experts = scripts("experts")
        trained = experts.ImageClassifier(width=8, image_size=64, global_pooling=True)
        other = experts.ImageClassifier(width=8, image_size=64, global_pooling=True, field_of_view=40)
        with pytest.raises(ValueError, match="field_of_view is None in the weights, expected 40"):
            other.load_state_dict(trained.state_dict())
