"""Errors: the tree that the docstring draws, exit codes, and the way through a process boundary."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import pytest

from deepfake_audio import errors
from deepfake_audio.errors import (
    AUDIO_REASONS,
    AudioError,
    DataError,
    DeepfakeAudioError,
    MetricError,
    MissingExtraError,
    ModelFileError,
    OutputError,
    TrainingError,
)

EXAMPLES = [
    DeepfakeAudioError("something"),
    AudioError("damaged", "a.wav: is damaged"),
    ModelFileError("model.onnx: is missing"),
    DataError("data: is empty"),
    TrainingError("did not converge"),
    MetricError("no trials"),
    OutputError("out.csv: cannot be written"),
    MissingExtraError("cnn", "training a CNN"),
]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The drawing names every class with its exit code, all of them right below the base."""
    drawn = re.findall(r"^ +(├── |└── |)(\w+Error) +(?:exit code )?(\d)\b", errors.__doc__ or "", re.MULTILINE)
    classes: list[Any] = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]
    assert {(name, int(code)) for _, name, code in drawn} == {(cls.__name__, cls.exit_code) for cls in classes}
    assert [name for branch, name, _ in drawn if not branch] == ["DeepfakeAudioError"]
    assert all(cls.__base__ in (Exception, DeepfakeAudioError) for cls in classes)


def test_every_class_has_an_example() -> None:
    """No class is left out of the tests below."""
    assert {type(error) for error in EXAMPLES} == {DeepfakeAudioError, *DeepfakeAudioError.__subclasses__()}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_pickling(error: DeepfakeAudioError) -> None:
    """A worker process sends each error back as it was raised."""
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - made a moment ago
    assert type(back) is type(error)
    assert (str(back), vars(back), back.exit_code) == (str(error), vars(error), error.exit_code)


@pytest.mark.parametrize("reason", AUDIO_REASONS)
def test_audio_error_knows_its_reason(reason: str) -> None:
    """Every documented reason is taken, and the message is what a person reads."""
    error = AudioError(reason, "a.wav: oh")
    assert (error.reason, str(error), error.exit_code) == (reason, "a.wav: oh", 3)


@pytest.mark.parametrize("reason", ["", "Damaged", "broken"])
def test_audio_error_refuses_other_reasons(reason: str) -> None:
    """Scripts depend on the words, so no other can slip in."""
    with pytest.raises(ValueError, match=f"unknown reason '{reason}'"):
        AudioError(reason, "a.wav: oh")


def test_missing_extra_gives_the_install_line() -> None:
    """The message can be copied into a shell."""
    error = MissingExtraError("cnn", "training a CNN")
    assert str(error) == "training a CNN needs the extra `cnn`: pip install 'deepfake-audio[cnn]'"
