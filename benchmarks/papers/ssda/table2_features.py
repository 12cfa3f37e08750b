"""Denoising auto-encoders on corrupted digits, and an SVM on their hidden activations.

    y   digits (N, 784) in [0, 1], x the same after a corruption

Paper 1 leaves open how strong its corruptions are, how many hidden units there are and how long
they are trained. Here: sigma 0.5, a quarter of the pixels, and parts of photographs behind the
strokes, as in the MNIST variations of Larochelle et al. (ICML 2007).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from minidl import gradients, no_grad, optim
from minidl.models.images.corruptions import gaussian_noise, salt_and_pepper
from minidl.models.images.patches import PatchSampler
from minidl.models.images.samples import NAMES, grey, photograph
from minidl.models.ssda import DenoisingAutoencoder
from minidl.models.ssda.recipes import EQUATION_6

SIDE = 28
SIGMA, FRACTION = 127.5, 0.25  # grey levels; the share of pixels that salt and pepper replace
HELD_OUT = ("camera", "coffee", "rocket")  # photographs that lie behind test digits alone

Corrupt = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # y (N, 784), rng -> x (N, 784)


def corruptions(*, test: bool) -> dict[str, Corrupt]:
    """Return the three corruptions by the paper's names; test digits lie on other photographs."""
    names = [n for n in NAMES if (n in HELD_OUT) == test]
    photographs = PatchSampler([grey(photograph(n))[..., 0] for n in names], SIDE)

    def background(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return y + (1 - y) * photographs.sample(len(y), rng)

    return {
        "Gaussian": lambda y, rng: gaussian_noise(y, SIGMA, rng),
        "salt and pepper": lambda y, rng: salt_and_pepper(y, FRACTION, rng),
        "image background": background,
    }


@dataclass(frozen=True)
class Training:
    """The length and the sizes of a denoising auto-encoder's training."""

    hidden: int = 500
    steps: int = 3000
    batch: int = 128
    rate: float = 2e-3


def train(
    digits: np.ndarray, corrupt: Corrupt, how: Training, rng: np.random.Generator
) -> DenoisingAutoencoder:
    """Train one auto-encoder by eq. 6; each step corrupts digits (N, 784) again."""
    network = DenoisingAutoencoder(digits.shape[1], how.hidden, rng=rng, rho=EQUATION_6.rho)
    adam = optim.Adam(network.parameters(), lr=how.rate, beta2=0.99)
    for step in range(how.steps):
        adam.lr = optim.warmup_cosine(how.rate, step, how.steps, warmup=min(200, how.steps // 10))
        y = digits[rng.integers(0, len(digits), how.batch)]
        loss = network.loss(corrupt(y, rng), y, EQUATION_6)
        adam.step(gradients(loss, network.parameters()))
    return network


def hidden(network: DenoisingAutoencoder, x: np.ndarray) -> np.ndarray:
    """Return h(x), (N, H), of eq. 3."""
    with no_grad():
        return np.asarray(network.encode(x.astype(np.float32)).data)


@dataclass(frozen=True)
class Split:
    """Digits and labels for training and test, stratified by label."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def split(digits: np.ndarray, labels: np.ndarray, share: float, rng: np.random.Generator) -> Split:
    """Split the digits: `share` of each kind for training, the rest for testing."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        indices = rng.permutation(np.flatnonzero(labels == label))
        chosen[indices[: round(share * len(indices))]] = True
    order = rng.permutation(np.flatnonzero(chosen))
    rest = rng.permutation(np.flatnonzero(~chosen))
    return Split(digits[order], labels[order], digits[rest], labels[rest])


@dataclass(frozen=True)
class Machine:
    """A support vector machine's kernel and constant."""

    kernel: str
    c: float

    def fit(self, features: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Train the machine; return a function features (N, F) -> labels (N,).

        Features are centred and divided by one number, so that their mean square sum is 1 and
        rarely active units keep their small weight.
        """
        from sklearn.svm import SVC

        mean = features.mean(axis=0)
        scale = 1 / max(float(features.var(axis=0).sum()) ** 0.5, 1e-12)
        machine = SVC(kernel=self.kernel, C=self.c, gamma=1.0)
        machine.fit((features - mean) * scale, labels)
        return lambda x: np.asarray(machine.predict((x - mean) * scale))


MACHINES: tuple[Machine, ...] = (
    Machine("linear", 10.0),
    Machine("rbf", 3.0),
)


def choose(features: np.ndarray, labels: np.ndarray, machines: tuple[Machine, ...]) -> Machine:
    """Return the machine that is best on a fifth of the training digits, held out for this."""
    if len(machines) == 1:
        return machines[0]
    cut = 4 * len(labels) // 5
    return max(
        machines,
        key=lambda m: accuracy(m.fit(features[:cut], labels[:cut])(features[cut:]), labels[cut:]),
    )


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy in percent."""
    return 100 * float((predicted == labels).mean())


def settings(how: Training, machines: tuple[Machine, ...]) -> dict[str, object]:
    """Return the settings on which the numbers depend, as JSON types."""
    return {
        "training": asdict(how),
        "machines": [asdict(m) for m in machines],
        "sigma": SIGMA,
        "fraction": FRACTION,
    }
