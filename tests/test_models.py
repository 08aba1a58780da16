"""The models that ship inside the package: they are what their card says, and they work."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from signals import noise, voice

from deepfake_audio.datasets import Utterance, read_dataset
from deepfake_audio.detector import Detection, Detector
from deepfake_audio.evaluation import Evaluation, Trials, evaluate
from deepfake_audio.modelfile import SHIPPED, SHIPPED_DIRECTORY, read_model
from deepfake_audio.recipe import read_recipe

SYNTHETIC = Path(__file__).parent / "data" / "synthetic.flac"
CARD = (SHIPPED_DIRECTORY / "README.md").read_text()


@pytest.fixture(params=SHIPPED)
def detector(request: pytest.FixtureRequest) -> Detector:
    """Return one shipped model after the other."""
    return Detector.load(request.param)


def test_the_package_ships_what_it_names() -> None:
    """The directory holds the models of the table, their recipes, and nothing else but their card."""
    assert {path.name for path in SHIPPED_DIRECTORY.iterdir() if path.name != "__pycache__"} == {
        "README.md",
        "analysis.json",
        *(f"{name}.{suffix}" for name in SHIPPED for suffix in ("onnx", "toml")),
    }


@pytest.mark.parametrize(("name", "limit"), [("svm", 5_000_000), ("cnn", 5_000_000), ("default", 10_000_000)])
def test_size(name: str, limit: int) -> None:
    """No model is larger than promised."""
    assert (SHIPPED_DIRECTORY / f"{name}.onnx").stat().st_size <= limit


@pytest.mark.parametrize("name", SHIPPED)
def test_card_describes_this_very_file(name: str) -> None:
    """The card holds the hash of the file and of the data, and the command that made it."""
    model = read_model(name)
    assert model.sha256 in CARD
    assert model.metadata.training["data"]["fingerprint"] in CARD
    assert re.search(rf"train corpus/manifest.csv .*--recipe {name} .*-o {name}.onnx", CARD)


@pytest.mark.parametrize("name", SHIPPED)
def test_recipe_beside_the_model_is_the_one_that_made_it(name: str) -> None:
    """Whoever trains with the shipped recipe trains what was shipped."""
    assert read_recipe(name).to_dict() == read_model(name).metadata.recipe


@pytest.mark.parametrize(("name", "backend", "kind"), [("svm", "svm", "mfcc"), ("cnn", "cnn", "mel")])
def test_front_ends(name: str, backend: str, kind: str) -> None:
    """The SVM learnt from MFCCs and more, the CNN from mel spectrograms."""
    members = read_recipe(name).members
    assert {member.backend for member in members} == {backend}
    assert all(kind in [spec.kind for spec in member.specs] for member in members)


def test_default_is_the_one_that_generalises_best() -> None:
    """The default has the lowest error rate on recordings that were held out."""
    rates = {name: read_model(name).metadata.training["held_out"]["eer"] for name in SHIPPED}
    assert min(rates, key=rates.__getitem__) == "default"


def test_synthetic_voice_of_the_readme() -> None:
    """The file that the README shows is called a deepfake by the default model."""
    result = Detector.load().score(SYNTHETIC)
    assert isinstance(result, Detection)
    assert result.verdict == "deepfake"


def llr(detector: Detector, path: Path) -> float:
    """Return the log-likelihood ratio of a file."""
    result = detector.score(path)
    assert isinstance(result, Detection)
    assert result.llr_genuine is not None
    return result.llr_genuine


def test_level_polarity_and_channels_do_not_matter(detector: Detector, tmp_path: Path) -> None:
    """The same recording louder, quieter, turned upside down or in stereo gives the same number."""
    signal, rate = soundfile.read(SYNTHETIC)
    soundfile.write(tmp_path / "a.wav", signal, rate, subtype="FLOAT")
    expected = llr(detector, tmp_path / "a.wav")
    for changed in (signal * 0.1, signal * 3.0, -signal, np.stack([signal, signal], axis=1), signal + 0.1):
        soundfile.write(tmp_path / "b.wav", changed, rate, subtype="FLOAT")
        assert llr(detector, tmp_path / "b.wav") == pytest.approx(expected, abs=0.02)


def test_silence_around_does_not_matter(detector: Detector, tmp_path: Path) -> None:
    """Two seconds of silence before and after change little."""
    signal, rate = soundfile.read(SYNTHETIC)
    expected = llr(detector, SYNTHETIC)
    soundfile.write(tmp_path / "a.wav", np.concatenate([np.zeros(2 * rate), signal, np.zeros(2 * rate)]), rate)
    assert llr(detector, tmp_path / "a.wav") == pytest.approx(expected, abs=0.2)


def test_sounds_of_a_program_get_no_verdict(tmp_path: Path) -> None:
    """A tone, a chord that swells, a sweep, bursts of hiss and a buzz are no speech, or unlike all that is known."""
    t = np.arange(5 * 16_000) / 16_000
    chord = np.sin(2 * np.pi * 440 * t) + np.sin(2 * np.pi * 550 * t)
    sounds = {
        "tone": np.sin(2 * np.pi * 440 * t),
        "chord": chord * np.sin(2 * np.pi * 0.7 * t) ** 2,
        "sweep": np.sin(2 * np.pi * (100 * t + 600 * t**2)) * (1 + np.sin(2 * np.pi * 3 * t)),
        "bursts": noise(5.0) * (np.sin(2 * np.pi * 2 * t) > 0),
        "buzz": np.sign(np.sin(2 * np.pi * 120 * t)) * (np.sin(2 * np.pi * 2 * t) > -0.3),
    }
    verdicts = {}
    for name, sound in sounds.items():
        soundfile.write(tmp_path / "a.wav", 0.3 * sound, 16_000)
        result = Detector.load().score(tmp_path / "a.wav")
        assert isinstance(result, Detection)
        verdicts[name] = result.verdict
        assert result.verdict == "no_speech" or "out_of_domain" in result.reasons, name
    assert verdicts["tone"] == "no_speech"
    assert verdicts["chord"] == "inconclusive"


def test_any_voice_gets_a_number(detector: Detector, tmp_path: Path) -> None:
    """Whatever has the shape of speech is scored, also at 8 kHz."""
    for rate in (8_000, 44_100):
        soundfile.write(tmp_path / "a.wav", voice(3.0, rate), rate)
        assert np.isfinite(llr(detector, tmp_path / "a.wav"))


# --- on real speech --------------------------------------------------------------------------------------------


def some_of_dev(shared: Path) -> list[Utterance]:
    """Return a third of the development recordings, over all sources."""
    return list(read_dataset(shared / "corpus" / "manifest.csv").select("dev").utterances[::3])


def evaluated(detector: Detector, utterances: list[Utterance]) -> Evaluation:
    """Evaluate on some recordings."""
    results = map(detector.score, [u.path for u in utterances])
    return evaluate(Trials.of(utterances, results, detector.threshold), by=())


def test_better_than_chance_on_sources_never_heard(detector: Detector, shared: Path) -> None:
    """On recordings of sources that no model was trained on the error stays near what the card says."""
    result = evaluated(detector, some_of_dev(shared))
    assert result.figures["eer"].value < 0.24
    assert result.at_threshold.balanced_accuracy > 0.75
    assert result.figures["cllr"].value < 0.75


def test_mp3_at_another_rate_in_stereo_changes_little(shared: Path, tmp_path: Path) -> None:
    """The same clips as stereo mp3 at 48 kHz mostly keep their side."""
    detector = Detector.load()
    same = 0
    chosen = some_of_dev(shared)[::16]
    for utterance in chosen:
        signal, rate = soundfile.read(utterance.path)
        loud = soxr.resample(signal, rate, 48_000)
        soundfile.write(tmp_path / "a.mp3", np.stack([loud, loud], axis=1), 48_000, bitrate_mode="CONSTANT")
        same += (llr(detector, tmp_path / "a.mp3") < 0) == (llr(detector, utterance.path) < 0)
    assert same >= 0.8 * len(chosen)


def test_a_copy_elsewhere_scores_the_same(tmp_path: Path) -> None:
    """A model file is one file: a copy elsewhere scores the same."""
    copy = tmp_path / "copy.onnx"
    shutil.copy(SHIPPED_DIRECTORY / "default.onnx", copy)
    assert llr(Detector.load(copy), SYNTHETIC) == llr(Detector.load(), SYNTHETIC)
