"""A support vector machine with a radial kernel, on statistics of MFCCs and their differences."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_audio.backends import Trained, finished
from deepfake_audio.errors import DataError
from deepfake_audio.features import OPSET, FeatureSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from deepfake_audio.backends import Examples, FloatArray, Run

PLAIN_SPEC = FeatureSpec(
    "mfcc",
    n_fft=1024,
    window_length=640,
    n_bands=96,
    n_coefficients=60,
    deltas=1,
    statistics=("mean", "std"),
)
_SUMMED: dict[str, Any] = {"statistics": ("mean", "std")}
_LONG: dict[str, Any] = {"n_fft": 1024, "window_length": 640}
_SHORT: dict[str, Any] = {"n_fft": 256, "window_length": 256, "hop_length": 64, "n_bands": 24}
# The envelope, the harmonics at two resolutions, the rhythm, and how bands, bins and phases hang together: each tells
# what the others do not see, and what is relative to a band's own mean does not change with the microphone.
DEFAULT_SPECS = (
    FeatureSpec("mfcc", n_bands=60, n_coefficients=30, deltas=2, **_SUMMED),
    FeatureSpec("lfcc", n_bands=60, n_coefficients=30, deltas=2, **_SUMMED),
    FeatureSpec("lfcc", n_bands=40, n_coefficients=20, deltas=1, f_min=2_000, f_max=5_000, **_LONG, **_SUMMED),
    FeatureSpec("flatness", n_bands=32, **_LONG, **_SUMMED),
    FeatureSpec("phase", n_bands=32, **_LONG, **_SUMMED),
    FeatureSpec("cepstrum", 16_000, 2048, 2048, 640, 100, 800, **_SUMMED),
    FeatureSpec("cepstrum", 16_000, 1024, 1024, 320, 80, 480, **_SUMMED),
    FeatureSpec("modulation", **_SHORT),
    FeatureSpec("correlation", **_SHORT),
)
WINDOW_SECONDS = 3.0
COPIES = 0  # augmented copies made it worse on sources that it had not seen
REFIT = True
EXTRA = None


@dataclass(frozen=True)
class Options:
    """
    Choices of this backend.

    Attributes:
        c: What a window on the wrong side costs.
        kernel: ``rbf`` or ``linear``.
        n_components: Principal components kept: as good as all features, and the file holds every support vector.
        gamma_factor: Width of the radial kernel: gamma is this number over the features' total variance.
    """

    c: float = 1.5
    kernel: str = "rbf"
    n_components: int = 300
    gamma_factor: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be fitted."""
        checks = {
            "c must be positive": 0 < self.c < math.inf,
            "kernel must be rbf or linear": self.kernel in ("rbf", "linear"),
            "n_components must be positive": self.n_components > 0,
            "gamma_factor must be positive": 0 < self.gamma_factor < math.inf,
        }
        for rule, holds in checks.items():
            if not holds:
                raise DataError(f"svm: {rule}, got {self}")


def train(examples: Examples, held_out: Examples | None, options: Options, run: Run) -> Trained:
    """Fit scaler, PCA and SVC on all copies of the windows."""
    del held_out  # nothing here goes in steps that could be watched
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    n_copies = len(examples.features)
    features = np.concatenate([copy[examples.chosen] for copy in examples.features])
    is_bonafide, weights = (np.tile(values, n_copies) for values in (examples.is_bonafide, examples.weights))
    run.report(0, 1, f"fitting {len(features):,} windows of {features.shape[1]} features")
    reduction = make_pipeline(StandardScaler(), PCA(min(options.n_components, *features.shape), svd_solver="full"))
    # Each kind of features counts the same, however many numbers it has.
    scaler = reduction[0].fit(features)
    scaler.scale_ *= np.sqrt(np.repeat(examples.sizes, examples.sizes))
    reduced = reduction[1].fit_transform(scaler.transform(features))
    gamma = options.gamma_factor / float(reduced.var(axis=0).sum())
    machine = SVC(C=options.c, kernel=options.kernel, gamma=gamma, random_state=run.seed, cache_size=1000)
    machine.fit(reduced, is_bonafide, sample_weight=weights)
    model = make_pipeline(*reduction, machine)
    n_support = int(machine.n_support_.sum())
    run.report(1, 1, f"{n_support:,} support vectors")

    def score(rows: FloatArray) -> npt.NDArray[np.float64]:
        scores: npt.NDArray[np.float64] = model.decision_function(rows)
        return scores

    facts = {"n_windows": len(features), "n_components": reduced.shape[1], "n_support_vectors": n_support}
    return Trained(_to_onnx(model, features.shape[1]), score, facts)


def _to_onnx(model: Any, n_features: int) -> Any:
    import onnx
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # the converter reads attributes that scikit-learn 1.9 deprecates
        converted = convert_sklearn(
            model,
            initial_types=[("features", FloatTensorType([None, n_features]))],
            options={id(model): {"raw_scores": True, "zipmap": False}},
            target_opset={"": OPSET, "ai.onnx.ml": 3},
        )
    # The converter gives a label and two raw scores; the first is scikit-learn's decision function.
    graph = converted.graph
    scores = graph.output[1].name
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, dtype=np.int64), "decision"))
    graph.node.append(onnx.helper.make_node("Gather", [scores, "decision"], ["first_score"], axis=1))
    return finished(converted, "first_score")
