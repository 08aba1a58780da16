"""The package: its public names, imported on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import deepfake_audio
from deepfake_audio.detector import Detector


def test_public_names() -> None:
    """Every name that the package offers is there, and is the one of its module."""
    for name in deepfake_audio.__all__:
        assert getattr(deepfake_audio, name) is not None
    assert deepfake_audio.Detector is Detector
    assert set(deepfake_audio._PUBLIC) | {"__version__"} == set(deepfake_audio.__all__)


def test_unknown_name() -> None:
    """A name that is not there fails as in any other module."""
    with pytest.raises(AttributeError, match="module 'deepfake_audio' has no attribute 'Detectors'"):
        deepfake_audio.Detectors  # noqa: B018 - the access is the test


def test_import_is_light() -> None:
    """Importing the package alone imports none of its dependencies."""
    code = "import sys, deepfake_audio; print(*(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "deepfake_audio" in done.stdout.split()
    assert not {"numpy", "typer", "onnx", "onnxruntime", "soundfile"} & set(done.stdout.split())
