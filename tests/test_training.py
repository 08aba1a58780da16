"""Training, from labelled recordings to a model file: splits, weights, refusals, and what is written."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from signals import RATE, voice, write_voices

from deepfake_audio import examples
from deepfake_audio.backends import Trained, load_backend, svm
from deepfake_audio.datasets import Dataset, Label, Utterance, read_dataset
from deepfake_audio.detector import Detection, Detector
from deepfake_audio.errors import DataError, OutputError, TrainingError
from deepfake_audio.examples import CALIBRATION, TRAINING, VALIDATION, balanced_weights, split
from deepfake_audio.modelfile import read_model
from deepfake_audio.training import Recipe, train

RECIPE = Recipe("svm", window_seconds=1.0, augment=False)


def utterances(n_groups: int, per_group: int = 4, *, one_class_groups: bool = False) -> list[Utterance]:
    """Return utterances in groups, half of them bona fide, either inside each group or by whole groups."""
    made = []
    for group in range(n_groups):
        for number in range(per_group):
            bonafide = (group if one_class_groups else number) % 2 == 0
            label = Label.BONAFIDE if bonafide else Label.SPOOF
            made.append(Utterance(Path(f"{group}-{number}.wav"), label, f"{group}-{number}", group=str(group)))
    return made


# --- splits and weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_class_groups", [False, True], ids=["mixed", "one-class"])
def test_groups_stay_together(one_class_groups: bool) -> None:  # noqa: FBT001 - pytest's form
    """No group is on two sides, and every part has both classes."""
    made = utterances(40, one_class_groups=one_class_groups)
    parts = split(made, seed=3)
    for group in {u.group for u in made}:
        assert len({int(p) for p, u in zip(parts, made, strict=True) if u.group == group}) == 1
    for part in (TRAINING, VALIDATION, CALIBRATION):
        assert {u.label for p, u in zip(parts, made, strict=True) if p == part} == {Label.BONAFIDE, Label.SPOOF}


def test_split_has_the_promised_shares() -> None:
    """Of many groups 70, 10 and 20 % go to training, validation and calibration."""
    parts = split(utterances(100), seed=0)
    shares = np.bincount(parts) / len(parts)
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.02)


def test_split_depends_on_the_seed_alone() -> None:
    """One seed gives one split; another seed gives another."""
    made = utterances(40)
    assert split(made, 1).tolist() == split(made, 1).tolist()
    assert split(made, 1).tolist() != split(made, 2).tolist()


def test_without_groups_each_recording_stands_alone() -> None:
    """A plain pair of folders, where nothing is known of speakers, can be trained on."""
    made = [Utterance(u.path, u.label, u.utterance_id) for u in utterances(10)]
    assert {int(p) for p in split(made, 0)} == {TRAINING, VALIDATION, CALIBRATION}


@pytest.mark.parametrize("n", [1, 2], ids=["one-group-each", "two-groups"])
def test_too_few_groups(n: int) -> None:
    """With too few groups for three parts the error says so."""
    with pytest.raises(DataError, match="are too few"):
        split(utterances(n, per_group=2), 0)


def test_classes_weigh_the_same_and_large_sources_less() -> None:
    """Each class sums up to the same, and 100 of one source outweigh 1 of another by 10, not by 100."""
    many = [Utterance(Path(f"{i}"), Label.BONAFIDE, str(i), source="large") for i in range(100)]
    few = [Utterance(Path("a"), Label.BONAFIDE, "a", source="small")]
    spoof = [Utterance(Path("b"), Label.SPOOF, "b", source="large")]
    weights = balanced_weights([*many, *few, *spoof])
    assert weights.mean() == pytest.approx(1)
    assert weights[:101].sum() == pytest.approx(weights[101:].sum())
    assert weights[:100].sum() / weights[100] == pytest.approx(10)


# --- whole runs ------------------------------------------------------------------------------------------------


def test_model_file_tells_what_it_is(tiny_model: Path) -> None:
    """The metadata hold the front end, the data's fingerprint and counts, versions and held-out results."""
    metadata = read_model(tiny_model).metadata
    assert metadata.name == "tiny"
    assert metadata.features["kind"] == "mfcc"
    data = metadata.training["data"]
    assert sum(data[part][label] for part in ("training", "validation", "calibration") for label in Label) == 60
    assert len(data["fingerprint"]) == 64
    assert metadata.training["held_out"]["eer"] < 0.1
    assert metadata.training["onnx_difference"] < 1e-3
    assert {"deepfake-audio", "scikit-learn", "onnx"} <= metadata.versions.keys()


def test_run_record_lies_beside_the_model(tiny_model: Path) -> None:
    """The record names the model, its hash, and how long each step took."""
    record = json.loads(tiny_model.with_suffix(".json").read_text())
    assert record["model"] == tiny_model.name
    assert record["sha256"] == read_model(tiny_model).sha256
    assert {"reading", "features", "training", "calibration"} == record["seconds"].keys()


def test_tells_new_voices_apart(tiny_model: Path, tmp_path: Path) -> None:
    """Of voices that were not trained on, nearly all come out on the right side."""
    detector = Detector.load(tiny_model)
    right = 0
    for seed in range(500, 510):
        for robotic in (False, True):
            soundfile.write(tmp_path / "a.wav", voice(3.0, seed=seed, robotic=robotic), RATE)
            result = detector.score(tmp_path / "a.wav")
            assert isinstance(result, Detection)
            assert result.llr_genuine is not None
            right += (result.llr_genuine < 0) == robotic
    assert right >= 17


@pytest.mark.parametrize("jobs", [1, 2])
def test_same_seed_same_file_whatever_the_jobs(voices: Path, tmp_path: Path, jobs: int) -> None:
    """Seed and data determine the bytes of the model file, with augmentation too."""
    recipe = Recipe("svm", seed=7, window_seconds=1.0)
    first = train(read_dataset(voices), recipe, tmp_path / "first.onnx", jobs=1)
    second = train(read_dataset(voices), recipe, tmp_path / "second.onnx", jobs=jobs)
    assert first.sha256 == second.sha256


def test_another_seed_gives_another_model(voices: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The seed is not decoration."""
    run = train(read_dataset(voices), Recipe("svm", "tiny", None, 1.0, 1, augment=False), tmp_path / "m.onnx")
    assert run.sha256 != read_model(tiny_model).sha256


def test_another_front_end(voices: Path, tmp_path: Path) -> None:
    """A spec other than the backend's own goes all the way into the file."""
    spec = svm.DEFAULT_SPEC.changed("lfcc,n_bands=40,n_coefficients=12,statistics=mean+std")
    train(read_dataset(voices), Recipe("svm", spec=spec, window_seconds=0.5, augment=False), tmp_path / "m.onnx")
    metadata = read_model(tmp_path / "m.onnx").metadata
    assert metadata.features == spec.to_dict()
    assert metadata.window_samples == 8_000


def test_progress_reaches_its_end(voices: Path, tmp_path: Path) -> None:
    """Every stage is reported up to its last step."""
    last: dict[str, tuple[int, int]] = {}

    def progress(stage: str, step: int, steps: int, note: str = "") -> None:  # noqa: ARG001
        last[stage] = (step, steps)

    train(read_dataset(voices), RECIPE, tmp_path / "m.onnx", progress=progress)
    assert {"reading", "features", "training"} <= last.keys()
    assert all(step == steps for step, steps in last.values())


# --- refusals --------------------------------------------------------------------------------------------------


def test_one_class_only(voices: Path, tmp_path: Path) -> None:
    """A data set without deepfakes is refused with the reason, and nothing is written."""
    dataset = read_dataset(voices)
    genuine = Dataset(dataset.root, dataset.layout, tuple(u for u in dataset.utterances if u.is_bonafide))
    with pytest.raises(DataError, match="all 30 recordings are bona fide; training needs both classes"):
        train(genuine, RECIPE, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def with_bad_files(directory: Path, n_bad: int) -> Dataset:
    """Return 60 voices of which some were overwritten by text."""
    write_voices(directory)
    for path in sorted(directory.rglob("*.wav"))[:n_bad]:
        path.write_text("not audio")
    return read_dataset(directory)


def test_few_bad_files_are_left_out_and_named(tmp_path: Path) -> None:
    """Up to 5 % of unusable files are reported, and training goes on."""
    run = train(with_bad_files(tmp_path / "data", 3), RECIPE, tmp_path / "m.onnx")
    assert Counter(bad["reason"] for bad in run.bad) == {"not_audio": 3}
    assert json.loads((tmp_path / "m.json").read_text())["bad"] == run.bad


def test_many_bad_files_stop_the_run(tmp_path: Path) -> None:
    """More than 5 % stop it; the error has the count and the first file."""
    with pytest.raises(DataError, match=r"4 of 60 files cannot be used, more than 5%.*000\.wav"):
        train(with_bad_files(tmp_path / "data", 4), RECIPE, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_silence_is_not_trained_on(tmp_path: Path) -> None:
    """A recording without speech counts as unusable."""
    write_voices(tmp_path / "data")
    first = min((tmp_path / "data").rglob("*.wav"))
    soundfile.write(first, np.zeros(RATE), RATE)
    run = train(read_dataset(tmp_path / "data"), RECIPE, tmp_path / "m.onnx")
    assert [bad["reason"] for bad in run.bad] == ["no_speech"]


def test_output_that_cannot_be_written_is_refused_before_any_work(voices: Path, tmp_path: Path) -> None:
    """A missing directory is found out at once, not after hours."""
    stages: list[str] = []
    with pytest.raises(OutputError, match="there is no directory"):
        train(read_dataset(voices), RECIPE, tmp_path / "no" / "m.onnx", progress=lambda *a, **_: stages.append(a[0]))
    assert not stages


@pytest.mark.parametrize(("backend", "features"), [("svm", "mel,statistics="), ("cnn", "mfcc,statistics=mean")])
def test_features_that_do_not_suit_the_backend(voices: Path, tmp_path: Path, backend: str, features: str) -> None:
    """An SVM needs statistics and a CNN must not have them; the error comes before any work."""
    spec = svm.DEFAULT_SPEC.changed(features)
    with pytest.raises(DataError, match="statistics"):
        train(read_dataset(voices), Recipe(backend, spec=spec), tmp_path / "m.onnx")


def test_a_model_that_differs_from_its_onnx_form_is_not_written(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the exported graph gives other scores than the trained model, training stops."""
    genuine_train = svm.train

    def corrupted(*args: Any) -> Trained:
        trained = genuine_train(*args)
        return Trained(trained.onnx, lambda rows: trained.score(rows) + 0.01, trained.facts)

    monkeypatch.setattr(svm, "train", corrupted)
    with pytest.raises(TrainingError, match=r"differs from the trained one by 0\.01"):
        train(read_dataset(voices), RECIPE, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_joined_graph_is_small_and_plain(tiny_model: Path) -> None:
    """The file has one input and one output with the promised names, and only standard operators."""
    graph = onnx.load(tiny_model).graph
    assert [i.name for i in graph.input] == ["signal"]
    assert [o.name for o in graph.output] == ["score"]
    assert {node.domain for node in graph.node} <= {"", "ai.onnx.ml"}


def test_the_record_never_takes_the_models_place(voices: Path, tmp_path: Path) -> None:
    """A model that is named like a record keeps its file, and the record finds another name."""
    train(read_dataset(voices), RECIPE, tmp_path / "m.json")
    assert read_model(tmp_path / "m.json").metadata.backend == "svm"
    assert json.loads((tmp_path / "m.json.json").read_text())["model"] == "m.json"


def test_identical_files_stay_on_one_side() -> None:
    """Groups that share the bytes of a file are one group."""
    made = utterances(40)
    hashes = [f"{number % 80}" for number in range(len(made))]  # every second group repeats the files of another
    parts = split(made, 0, hashes)
    for sha256 in set(hashes):
        assert len({int(p) for p, h in zip(parts, hashes, strict=True) if h == sha256}) == 1


def test_identical_files_with_different_labels(tmp_path: Path) -> None:
    """A file that is both genuine and a deepfake is refused, and both places are named."""
    write_voices(tmp_path / "data")
    copy = tmp_path / "data" / "deepfake" / "source0" / "copy.wav"
    shutil.copy(tmp_path / "data" / "genuine" / "source0" / "000.wav", copy)
    with pytest.raises(DataError, match=r"identical files with different labels"):
        train(read_dataset(tmp_path / "data"), RECIPE, tmp_path / "m.onnx")


def test_long_recordings_are_read_up_to_a_minute(tmp_path: Path) -> None:
    """Of a recording no more than a minute of speech is kept, and decoding ends there."""
    soundfile.write(tmp_path / "long.wav", np.tile(voice(30.0), 6), RATE)
    result = examples._speech_of((str(tmp_path / "long.wav"), RATE))
    assert isinstance(result, tuple)
    assert len(result[1]) == 60 * RATE


@pytest.mark.parametrize("features", ["mel,n_bands=8", "mel,hop_length=4000"], ids=["bands", "frames"])
def test_spectrograms_too_small_for_a_cnn(voices: Path, tmp_path: Path, features: str) -> None:
    """A picture that four halvings leave nothing of is refused before any work."""
    spec = load_backend("cnn").DEFAULT_SPEC.changed(features)
    with pytest.raises(DataError, match=r"16 bands and frames or more, got (8|9)"):
        train(read_dataset(voices), Recipe("cnn", spec=spec), tmp_path / "m.onnx")
