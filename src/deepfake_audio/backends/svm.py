"""A support vector machine with a radial kernel, on statistics of MFCCs and their differences."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_audio.backends import Trained, finished
from deepfake_audio.features import OPSET, FeatureSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from deepfake_audio.backends import Examples, FloatArray, Options

# Fine frequency resolution and many coefficients tell vocoders from voices better than the usual 20 coefficients do.
DEFAULT_SPEC = FeatureSpec(
    "mfcc",
    n_fft=1024,
    window_length=640,
    n_bands=96,
    n_coefficients=60,
    deltas=1,
    statistics=("mean", "std", "p10", "p50", "p90"),
)
WINDOW_SECONDS = 3.0
COPIES = 0  # augmented copies made it worse on sources that it had not seen
EXTRA = None

C = 1.5
# Principal components kept: as good as all features, and the file holds every support vector.
N_COMPONENTS = 300


def train(training: Examples, validation: Examples, options: Options) -> Trained:
    """Fit scaler, PCA and SVC on all copies of the training and validation windows: nothing here stops early."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    features = np.concatenate([_rows(training.features), _rows(validation.features)])
    is_bonafide = np.concatenate([_repeated(part.is_bonafide, part) for part in (training, validation)])
    weights = np.concatenate([_repeated(part.weights, part) for part in (training, validation)])
    options.report(0, 1, f"fitting {len(features):,} windows of {features.shape[1]} features")
    model = make_pipeline(
        StandardScaler(),
        PCA(min(N_COMPONENTS, *features.shape), svd_solver="full"),
        SVC(
            C=C,
            kernel="rbf",
            gamma="scale",
            random_state=options.seed,
            cache_size=1000,
        ),
    )
    model.fit(features, is_bonafide, svc__sample_weight=weights)
    n_support = int(model[-1].n_support_.sum())
    options.report(1, 1, f"{n_support:,} support vectors")

    def score(rows: FloatArray) -> npt.NDArray[np.float64]:
        scores: npt.NDArray[np.float64] = model.decision_function(rows)
        return scores

    facts = {
        "c": C,
        "gamma": "scale",
        "n_components": int(model[1].n_components_),
        "n_windows": len(features),
        "n_support_vectors": n_support,
    }
    return Trained(_to_onnx(model, features.shape[1]), score, facts)


def _rows(features: FloatArray) -> FloatArray:
    return np.asarray(features).reshape(-1, features.shape[-1])


def _repeated(values: npt.NDArray[Any], part: Examples) -> npt.NDArray[Any]:
    """Repeat what holds for a window for each of its copies."""
    return np.tile(values, len(part.features))


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
