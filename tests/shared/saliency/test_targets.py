import pytest
import torch

from shared.saliency.targets import class_gradients, resolve_classes, resolve_target


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (3, ValueError, r"in \[0, 2\]"),
        (-1, ValueError, r"in \[0, 2\]"),
        (torch.tensor([0, 1]), ValueError, r"shape \(4,\), found \(2,\)"),
        (torch.zeros(4), TypeError, "integer type, found torch.float32"),
        (True, TypeError, "found bool"),
        ("neutrophil", TypeError, "found str"),
    ],
)
def test_unusable_targets_are_refused(target, error, message):
    with pytest.raises(error, match=message):
        resolve_target(torch.zeros(4, 3), target)


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        ([3], ValueError, r"in \[0, 2\], found \[3\]"),
        ([], ValueError, "at least one class"),
        ([1, -1], ValueError, r"found \[1, -1\]"),
        ([1.0], TypeError, "found float"),
        ([True], TypeError, "found bool"),
    ],
)
def test_unusable_classes_are_refused(classes, error, message):
    with pytest.raises(error, match=message):
        resolve_classes(torch.zeros(4, 3), classes)


def test_gradients_of_each_class():
    x = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    logits = torch.stack([x.prod(dim=1), x.square().sum(dim=1)], dim=1)
    gradients = class_gradients(logits, x, [1, 0, 1])
    torch.testing.assert_close(gradients, torch.stack([2 * x, x.flip(1), 2 * x], dim=1).detach())


@pytest.mark.parametrize("graph", [True, False])
def test_gradients_of_what_does_not_matter_are_refused(graph):
    with pytest.raises(ValueError, match="do not depend on what is to be explained"):
        class_gradients(torch.zeros(4, 3, requires_grad=graph) * 2, torch.zeros(4, requires_grad=True), [0])
