"""
A support vector machine on statistics of many kinds of features, each kind with a kernel of its own.

Every kind of features is standardised and reduced to its principal components. Kernels of the kinds are averaged: what
one kind finds alike, another may not, and none drowns the others. The machine is fitted on the kernel's values at a
bounded number of landmarks among the training windows (Nystroem's method, Williams and Seeger, NIPS 2000), so that the
model file does not grow with the data.

The radial kernel also tells how familiar a window is: its mean over the landmarks, from 0 (unlike all of them) to 1.
Where recordings of noise, music and the like are given, familiarity is learnt instead: a second least-squares machine
on the same kernel tells speech of either class (towards 1) from these (towards -1), and from whatever is far from both.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepfake_audio.backends import Trained
from deepfake_audio.errors import DataError
from deepfake_audio.features import IR_VERSION, OPSET, FeatureSpec

if TYPE_CHECKING:
    from deepfake_audio.backends import Examples, FloatArray, Run

_SUMMED: dict[str, Any] = {"statistics": ("mean", "std")}
_LONG: dict[str, Any] = {"n_fft": 1024, "window_length": 640}
_SHORT: dict[str, Any] = {"n_fft": 512, "window_length": 256, "hop_length": 80, "n_bands": 64}
_RHYTHM: dict[str, Any] = {"n_fft": 256, "window_length": 256, "hop_length": 64, "n_bands": 24}
_HARMONICS: dict[str, Any] = {"hop_length": 320, "n_bands": 64, "n_coefficients": 320, **_LONG}
PLAIN_SPEC = FeatureSpec("mfcc", n_bands=96, n_coefficients=60, deltas=1, **_LONG, **_SUMMED)
# The envelope, textures at three scales, the harmonics, and the rhythm: each tells what the others do not see.
DEFAULT_SPECS = (
    PLAIN_SPEC,
    FeatureSpec("mel", n_bands=80, statistics=("texture7x13",), **_LONG),
    FeatureSpec("cepstrum", statistics=("mean", "std", "crest"), **_HARMONICS),
    FeatureSpec("modulation", **_RHYTHM),
    FeatureSpec("mel", statistics=("texture7x13",), **_SHORT),
    FeatureSpec("mel", statistics=("texture7x25",), **_SHORT),
)
WINDOW_SECONDS = 2.0
COPIES = 1
REFIT = True
EXTRA = None

KERNELS = ("rbf", "linear")
LOSSES = ("squares", "hinge")
# Deviations beyond this many are taken for no more than that: one odd number must not hide all others.
_MOST_DEVIATIONS = 6.0
# Eigenvalues of the landmarks' kernel below this share of the largest carry nothing but rounding.
_SMALLEST_EIGENVALUE = 1e-6
# How stiff the machine is that tells speech from what is none: of 0.1, 1 and 10 this refused most of unheard sounds.
_STIFFNESS = 1.0


@dataclass(frozen=True)
class Options:
    """
    Choices of this backend.

    Attributes:
        c: What a window on the wrong side costs.
        loss: ``squares``, the least-squares machine (Suykens and Vandewalle 1999), whose fit is one system of
            equations, or ``hinge``, the squared hinge of the usual one.
        kernel: Of each kind of features: ``rbf`` or ``linear``.
        gamma: Of the radial kernel, relative to the variance of a kind's features, which is 1.
        n_components: Principal components of each kind that are kept, at most.
        n_landmarks: Training windows whose kernel values the machine sees, at most.
    """

    c: float = 5.0
    loss: str = "squares"
    kernel: str = "rbf"
    gamma: float = 0.5
    n_components: int = 80
    n_landmarks: int = 3000

    def __post_init__(self) -> None:
        """Refuse what cannot be fitted."""
        checks = {
            "c must be positive": 0 < self.c < math.inf,
            f"loss must be one of {', '.join(LOSSES)}": self.loss in LOSSES,
            f"kernel must be one of {', '.join(KERNELS)}": self.kernel in KERNELS,
            "gamma must be positive": 0 < self.gamma < math.inf,
            "n_components must be positive": self.n_components > 0,
            "n_landmarks must be 2 to 10,000": 2 <= self.n_landmarks <= 10_000,  # noqa: PLR2004
        }
        for rule, holds in checks.items():
            if not holds:
                raise DataError(f"svm: {rule}, got {self}")


@dataclass(frozen=True)
class _Kind:
    """
    How one kind of features is reduced, and the landmarks in its terms.

    Attributes:
        mean: Shape (size,).
        factor: One over deviation and root of the size, shape (size,).
        axes: Principal axes, half precision, shape (size, n_components).
        landmarks: Half precision, shape (n_landmarks, n_components).
    """

    mean: FloatArray
    factor: FloatArray
    axes: npt.NDArray[np.float16]
    landmarks: npt.NDArray[np.float16]

    @property
    def limit(self) -> FloatArray:
        """The largest value that a standardised feature may have."""
        limit: FloatArray = np.float32(_MOST_DEVIATIONS / math.sqrt(len(self.mean)))  # type: ignore[assignment]
        return limit

    def reduced(self, values: FloatArray) -> FloatArray:
        """Return the principal components of features of shape (n, size)."""
        scaled = np.clip((values - self.mean) * self.factor, -self.limit, self.limit)
        return np.asarray(scaled @ self.axes.astype(np.float32), dtype=np.float32)


def train(examples: Examples, held_out: Examples | None, options: Options, run: Run) -> Trained:
    """Fit reduction, landmarks and machine on all copies of the windows."""
    del held_out  # nothing here goes in steps that could be watched
    n_copies = len(examples.features)
    features = np.concatenate([copy[examples.chosen] for copy in examples.features])
    is_bonafide, weights = (np.tile(values, n_copies) for values in (examples.is_bonafide, examples.weights))
    run.report(0, 2, f"{len(features):,} windows of {features.shape[1]:,} features")
    rng = np.random.default_rng(run.seed)
    # One window twice would be one landmark too many: they come from the windows as they are.
    n_plain = len(examples.chosen)
    share = examples.weights / examples.weights.sum()
    chosen = np.sort(rng.choice(n_plain, min(options.n_landmarks, n_plain), replace=False, p=share))
    sizes = examples.sizes or (features.shape[1],)
    parts = np.split(features, np.cumsum(sizes)[:-1], axis=1)
    kinds = [_fitted(part, n_plain, chosen, options.n_components, run.seed) for part in parts]
    values = _kernel(kinds, parts, options)
    whiten = _whitening(values[chosen])
    run.report(1, 2, f"fitting on {len(chosen):,} landmarks")
    machine = _machine(options, run.seed).fit(values @ whiten, is_bonafide, sample_weight=weights)
    slopes = np.asarray(whiten @ np.ravel(machine.coef_), dtype=np.float32)
    offset = float(np.ravel(machine.intercept_)[0])
    # How much each landmark says of familiarity, and a constant.
    likeness, likeness_offset = np.full(len(chosen), 1 / len(chosen), dtype=np.float32), 0.0
    if examples.non_speech is not None:
        others = _kernel(kinds, np.split(examples.non_speech, np.cumsum(sizes)[:-1], axis=1), options)
        likeness, likeness_offset = _apart(values[:n_plain] @ whiten, examples.weights, others @ whiten, whiten)
    run.report(2, 2, "fitted")

    def kernel(rows: FloatArray) -> FloatArray:
        return _kernel(kinds, np.split(np.asarray(rows), np.cumsum(sizes)[:-1], axis=1), options)

    def score(rows: FloatArray) -> npt.NDArray[np.float64]:
        return np.asarray(kernel(rows) @ slopes + offset, dtype=np.float64)

    def familiarity(rows: FloatArray) -> npt.NDArray[np.float64]:
        return np.asarray(kernel(rows) @ likeness + likeness_offset, dtype=np.float64)

    facts = {"n_windows": len(features), "n_landmarks": len(chosen), "n_kinds": len(kinds)}
    # A linear kernel is no measure of likeness: it grows with the distance from the centre.
    known = familiarity if options.kernel == "rbf" else None
    weighings = [(slopes, offset)] if known is None else [(slopes, offset), (likeness, likeness_offset)]
    return Trained(_to_onnx(kinds, sizes, weighings, options), score, facts, known)


def _machine(options: Options, seed: int) -> Any:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.svm import LinearSVC

    if options.loss == "squares":
        return RidgeClassifier(alpha=1 / options.c, solver="cholesky")
    return LinearSVC(C=options.c, dual=False, random_state=seed)


def _fitted(values: FloatArray, n_plain: int, chosen: npt.NDArray[np.int64], n_components: int, seed: int) -> _Kind:
    """Fit the reduction of a kind on the windows as they are, the first ``n_plain``."""
    from sklearn.decomposition import PCA

    plain, size = values[:n_plain], values.shape[1]
    deviation = plain.std(axis=0)
    factor = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0) / math.sqrt(size)
    nothing = np.empty((0, 0), dtype=np.float16)
    kind = _Kind(plain.mean(axis=0), factor.astype(np.float32), np.eye(size, dtype=np.float16), nothing)
    scaled = kind.reduced(plain)
    reduction = PCA(min(n_components, *scaled.shape), svd_solver="randomized", random_state=seed).fit(scaled)
    kind = dataclasses.replace(kind, axes=reduction.components_.T.astype(np.float16))
    return dataclasses.replace(kind, landmarks=kind.reduced(plain[chosen]).astype(np.float16))


def _kernel(kinds: list[_Kind], parts: list[FloatArray], options: Options) -> FloatArray:
    """Return the kernel of windows and landmarks, averaged over the kinds, shape (n, n_landmarks)."""
    total: Any = 0.0
    for kind, part in zip(kinds, parts, strict=True):
        a, b = kind.reduced(part), kind.landmarks.astype(np.float32)
        values = a @ b.T
        if options.kernel == "rbf":
            squares = np.square(a).sum(axis=1)[:, np.newaxis] + np.square(b).sum(axis=1)
            values = np.exp(-options.gamma * np.maximum(squares - 2 * values, 0))
        total = total + values
    return np.asarray(total / len(kinds), dtype=np.float32)


def _whitening(kernel: FloatArray) -> npt.NDArray[np.float64]:
    """Return what turns kernel values at the landmarks into coordinates whose dot product is the kernel."""
    eigenvalues, vectors = np.linalg.eigh(kernel.astype(np.float64))
    kept = eigenvalues > _SMALLEST_EIGENVALUE * eigenvalues[-1]
    whitening: npt.NDArray[np.float64] = vectors[:, kept] / np.sqrt(eigenvalues[kept])
    return whitening


def _apart(
    speech: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    others: npt.NDArray[np.float64],
    whiten: npt.NDArray[np.float64],
) -> tuple[FloatArray, float]:
    """
    Tell speech from what is none, both weighing the same.

    Args:
        speech: Coordinates of windows of speech, shape (n, n_coordinates).
        weights: Of these windows, with a mean of 1.
        others: Coordinates of windows without speech.
        whiten: What gave coordinates from the kernel, shape (n_landmarks, n_coordinates).

    Returns:
        How much the kernel at each landmark counts, and a constant: about 1 for speech, about -1 for others.
    """
    from sklearn.linear_model import Ridge

    targets = np.repeat([1.0, -1.0], [len(speech), len(others)])
    weighing = np.concatenate([weights, np.full(len(others), weights.sum() / len(others))])
    machine = Ridge(_STIFFNESS, solver="cholesky").fit(np.concatenate([speech, others]), targets, weighing)
    return np.asarray(whiten @ machine.coef_, dtype=np.float32), float(machine.intercept_)


def _to_onnx(
    kinds: list[_Kind], sizes: tuple[int, ...], weighings: list[tuple[FloatArray, float]], options: Options
) -> Any:
    """
    Write kernel and machines as a graph.

    Args:
        kinds: The kinds of features.
        sizes: How many numbers each of them has.
        weighings: How much each landmark counts, and a constant, for `score` and, if there are two, `familiarity`.
        options: Choices of this backend.
    """
    import onnx

    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(values: Any) -> str:
        constants.append(onnx.numpy_helper.from_array(np.asarray(values), f"constant_{len(constants)}"))
        return str(constants[-1].name)

    def add(operator: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(onnx.helper.make_node(operator, list(inputs), [f"tensor_{len(nodes)}"], **attributes))
        return str(nodes[-1].output[0])

    def widened(values: npt.NDArray[np.float16]) -> str:
        return add("Cast", constant(values), to=onnx.TensorProto.FLOAT)

    kernels = []
    ends = np.cumsum(sizes)
    axis = constant(np.array([1]))
    for kind, end, size in zip(kinds, ends, sizes, strict=True):
        part = add("Slice", "features", constant(np.array([end - size])), constant(np.array([end])), axis)
        scaled = add("Mul", add("Sub", part, constant(kind.mean)), constant(kind.factor))
        a = add("MatMul", add("Clip", scaled, constant(-kind.limit), constant(kind.limit)), widened(kind.axes))
        values = add("MatMul", a, widened(kind.landmarks.T))
        if options.kernel == "rbf":
            squares = np.square(kind.landmarks.astype(np.float32)).sum(axis=1)
            own = add("ReduceSum", add("Mul", a, a), axis, keepdims=1)
            distance = add("Sub", add("Add", own, constant(squares)), add("Mul", values, constant(np.float32(2))))
            values = add("Exp", add("Mul", distance, constant(np.float32(-options.gamma))))
        kernels.append(values)
    kernel = add("Mean", *kernels)
    outputs = {}
    for name, (slopes, offset) in zip(("score", "familiarity"), weighings, strict=False):
        weighted = add("MatMul", kernel, constant(slopes[:, np.newaxis]))
        outputs[name] = add("Squeeze", add("Add", weighted, constant(np.float32(offset))), axis)
    nodes += [onnx.helper.make_node("Identity", [tensor], [name]) for name, tensor in outputs.items()]
    kind_of = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "classifier",
        [onnx.helper.make_tensor_value_info("features", kind_of, ["n", sum(sizes)])],
        [onnx.helper.make_tensor_value_info(name, kind_of, ["n"]) for name in outputs],
        constants,
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
