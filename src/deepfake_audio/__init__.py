"""
Tells genuine speech from audio deepfakes.

    from deepfake_audio import Detector

    detection = Detector.load().score("voice-note.mp3")
    detection.verdict, detection.p_deepfake
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfake_audio.detector import Detection, Detector, Skipped
    from deepfake_audio.errors import DeepfakeAudioError
    from deepfake_audio.features import FeatureSpec, extract

__version__ = "0.1.0"

_PUBLIC = {
    "DeepfakeAudioError": "errors",
    "Detection": "detector",
    "Detector": "detector",
    "FeatureSpec": "features",
    "Skipped": "detector",
    "extract": "features",
}
__all__ = ["DeepfakeAudioError", "Detection", "Detector", "FeatureSpec", "Skipped", "__version__", "extract"]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that the command line starts without numpy and onnxruntime."""
    if name in _PUBLIC:
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
