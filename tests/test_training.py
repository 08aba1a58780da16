"""Training, from labelled recordings to a model file: what is held out, what is refused, and what is written."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper
from signals import RATE, noise, voice, write_voices

from deepfake_audio import backends, training
from deepfake_audio.backends import Examples, Run, Trained, svm
from deepfake_audio.calibration import OPERATING_POINTS, familiarity_threshold
from deepfake_audio.datasets import Dataset, read_dataset
from deepfake_audio.detector import Detection, Detector
from deepfake_audio.errors import DataError, MissingExtraError, OutputError, TrainingError
from deepfake_audio.features import OPSET, FeatureSpec, extract
from deepfake_audio.modelfile import ModelMetadata, read_model
from deepfake_audio.recipe import Member, Recipe
from deepfake_audio.training import TrainingRun, train

if TYPE_CHECKING:
    from pathlib import Path

FloatArray = npt.NDArray[np.float32]

RECIPE = Recipe.of("svm", window_seconds=1.0).changed(features="mfcc", copies=0)
RHYTHM = Member.of("svm", specs=(FeatureSpec("modulation", n_bands=16),), copies=0, options=svm.Options(c=0.5))
TWO = dataclasses.replace(RECIPE, members=(*RECIPE.members, RHYTHM), name="two")
needs_cnn = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs the extra `cnn`")


def small_cnn() -> Recipe:
    """Return a recipe of a network that learns in a moment."""
    return Recipe.of("cnn", window_seconds=0.5).changed(
        features="mel,n_bands=20,n_fft=512,window_length=400,hop_length=320",
        options=["epochs=4", "batch_size=8", "averaging=0", "mask=false", "dropout=0"],
        copies=0,
    )


def names_of(path: Path) -> set[str]:
    """Return the first parts of the names in a model's graph."""
    return {name.split("/")[0] for node in onnx.load(path).graph.node for name in node.output}


# --- a backend that remembers ----------------------------------------------------------------------------------


class Stub:
    """
    A backend that scores by the distance between the means of the classes, and by what it remembers.

    Attributes:
        memory: What the score of a window that was learnt gains on the side of its label.
        learnt: The windows that each classifier learnt from.
        watched: Those that each was told not to learn from.
        runs: What each was given to know.
    """

    __name__ = svm.__name__
    DEFAULT_SPECS = PLAIN_SPEC = WINDOW_SECONDS = COPIES = EXTRA = None
    Options = svm.Options

    def __init__(self, memory: float = 0.0, *, refit: bool = True, off_by: float = 0.0) -> None:
        self.REFIT = refit
        self.memory = memory
        self.off_by = off_by
        self.learnt: list[set[int]] = []
        self.watched: list[set[int]] = []
        self.runs: list[Run] = []

    def train(self, examples: Examples, held_out: Examples | None, _options: Any, run: Run) -> Trained:
        """Fit, as an ONNX graph and as a function."""
        rows = np.asarray(examples.features[0, examples.chosen])
        signs = np.where(examples.is_bonafide, 1, -1).astype(np.float32)
        slope = rows[signs > 0].mean(axis=0) - rows[signs < 0].mean(axis=0)
        slope /= slope @ slope
        bias = np.float32(-slope @ rows.mean(axis=0))
        self.learnt.append(set(examples.chosen.tolist()))
        self.watched.append(set() if held_out is None else set(held_out.chosen.tolist()))
        self.runs.append(run)
        run.report(1, 1, "learnt")

        def score(x: FloatArray) -> npt.NDArray[np.float64]:
            near = np.exp(-100 * np.square(x[:, np.newaxis] - rows).sum(axis=2))
            return np.asarray(x @ slope + bias + near @ (self.memory * signs) + self.off_by, dtype=np.float64)

        return Trained(remembering(rows, signs * np.float32(self.memory), slope, bias), score, {"n": len(rows)})


def remembering(rows: FloatArray, gains: FloatArray, slope: FloatArray, bias: np.float32) -> Any:
    """Return ``x @ slope + bias + exp(-100 |x - rows|^2) @ gains`` as an ONNX model."""
    constants = {"rows": rows, "gains": gains, "slope": slope, "bias": bias, "one": np.array([1]), "two": np.array([2])}
    constants["steepness"] = np.float32(-100)
    steps = [
        ("Unsqueeze", ["features", "one"], "x"),
        ("Sub", ["x", "rows"], "difference"),
        ("Mul", ["difference", "difference"], "squares"),
        ("ReduceSum", ["squares", "two"], "distance"),
        ("Mul", ["distance", "steepness"], "exponent"),
        ("Exp", ["exponent"], "near"),
        ("MatMul", ["near", "gains"], "remembered"),
        ("MatMul", ["features", "slope"], "projected"),
        ("Sum", ["remembered", "projected", "bias"], "score"),
    ]
    graph = helper.make_graph(
        [
            helper.make_node(operator, inputs, [output], **({"keepdims": 0} if operator == "ReduceSum" else {}))
            for operator, inputs, output in steps
        ],
        "classifier",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(slope)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", OPSET)])


class Knowing(Stub):
    """A stub that is familiar with the windows it learnt from, and with nothing else."""

    def train(self, examples: Examples, held_out: Examples | None, options: Any, run: Run) -> Trained:
        """Fit as the stub does, and make an output of how near the learnt windows are."""
        rows = np.asarray(examples.features[0, examples.chosen])
        plain = super().train(examples, held_out, options, run)
        onnx = plain.onnx
        onnx.graph.initializer.append(numpy_helper.from_array(np.ones(len(rows), dtype=np.float32), "ones"))
        onnx.graph.node.append(helper.make_node("MatMul", ["near", "ones"], ["familiarity"]))
        onnx.graph.output.append(helper.make_tensor_value_info("familiarity", TensorProto.FLOAT, ["n"]))

        def familiarity(x: FloatArray) -> npt.NDArray[np.float64]:
            near = np.exp(-100 * np.square(x[:, np.newaxis] - rows).sum(axis=2))
            return np.asarray(near.sum(axis=1), dtype=np.float64)

        return dataclasses.replace(plain, familiarity=familiarity)


# A window as long as the recordings: what is scored is what was learnt.
WHOLE = dataclasses.replace(RECIPE, window_seconds=2.0)


def with_stub(patch: pytest.MonkeyPatch, stub: Stub) -> Stub:
    """Train with a stub in the place of any backend."""
    patch.setattr(training, "load_backend", lambda _: stub)
    return stub


@pytest.mark.parametrize("parts", [None, 3])
def test_figures_are_of_classifiers_that_never_saw_the_part(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int | None
) -> None:
    """A backend that knows by heart what it learnt gets the same figures as one that knows nothing by heart."""
    runs: dict[float, TrainingRun] = {}
    for memory in (0.0, 100.0):
        with_stub(monkeypatch, Stub(memory))
        runs[memory] = train(read_dataset(voices), WHOLE, tmp_path / f"{memory:g}.onnx", parts=parts)
    assert runs[100.0].held_out == runs[0.0].held_out
    # It does remember: the model that is written learnt from all, and is sure of each.
    detector = Detector.load(tmp_path / "100.onnx")
    sure = detector.score(next((voices / "genuine").rglob("*.wav")))
    assert isinstance(sure, Detection)
    assert sure.llr_genuine is not None
    assert sure.llr_genuine > 50


@pytest.mark.parametrize("refit", [False, True])
def test_what_each_classifier_learns_from(
    voices: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refit: bool,  # noqa: FBT001 - pytest's form
) -> None:
    """Each learns from all parts but one, of which it is told; a last one from everything, if the backend wants it."""
    stub = with_stub(monkeypatch, Stub(refit=refit))
    train(read_dataset(voices), WHOLE, tmp_path / "m.onnx", parts=3, log_dir=tmp_path / "logs")
    everything = set(range(60))
    assert [learnt | watched for learnt, watched in zip(stub.learnt, stub.watched, strict=True)] == [everything] * (
        3 + refit
    )
    assert not any(learnt & watched for learnt, watched in zip(stub.learnt, stub.watched, strict=True))
    assert set.union(*stub.watched[:3]) == everything
    assert sum(map(len, stub.watched)) == 60
    names = ["svm-part-1", "svm-part-2", "svm-part-3", *["svm-all"] * refit]
    assert [run.log_dir for run in stub.runs] == [tmp_path / "logs" / name for name in names]
    assert {run.seed for run in stub.runs} == {0}


def test_groups_are_held_out_whole(voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier learns from no recording of a source that it is judged by."""
    stub = with_stub(monkeypatch, Stub())
    run = train(read_dataset(voices), WHOLE, None, parts=3)
    sources = [u.group or u.source for u in read_dataset(voices).utterances]
    for learnt, watched in zip(stub.learnt, stub.watched, strict=True):
        assert not {sources[row] for row in learnt} & {sources[row] for row in watched}
    assert len(run.held_out.llr_genuine) == 60


def test_classifiers_of_the_parts_are_averaged(voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that does not want one model of all data is the mean of its classifiers."""
    stub = Stub(refit=False)
    made: list[Any] = []

    def remembered(*args: Any) -> Trained:
        made.append(Stub.train(stub, *args))
        return made[-1]  # type: ignore[no-any-return]

    monkeypatch.setattr(stub, "train", remembered)
    with_stub(monkeypatch, stub)
    train(read_dataset(voices), WHOLE, tmp_path / "m.onnx", parts=3)
    windows = voice(2.0, seed=77).reshape(1, -1)
    features = extract(windows, WHOLE.members[0].specs)
    expected = np.mean([trained.score(features) for trained in made])
    assert read_model(tmp_path / "m.onnx").score(windows).score[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("parts", [None, 3])
def test_familiarity_is_measured_on_what_was_not_learnt(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int | None
) -> None:
    """A backend that knows by heart what it learnt does not set the threshold by that."""
    with_stub(monkeypatch, Knowing())
    run = train(read_dataset(voices), WHOLE, tmp_path / "m.onnx", parts=parts)
    model = read_model(tmp_path / "m.onnx")
    assert model.metadata.familiarity == run.metadata.familiarity
    assert run.metadata.familiarity is not None
    assert run.metadata.familiarity < 0.5
    learnt = soundfile.read(next(voices.rglob("*.wav")), dtype="float32")[0]
    found = model.score(learnt[np.newaxis]).familiarity
    assert found is not None
    assert found[0] > 0.9


def test_about_a_hundredth_of_what_was_held_out_is_unfamiliar(voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threshold is a percentile of all recordings held out, each a mean over its windows and over the members."""
    measured: list[npt.NDArray[np.float64]] = []

    def kept(familiarity: npt.NDArray[np.float64], *, learnt: bool) -> float:
        assert not learnt
        measured.append(familiarity)
        return familiarity_threshold(familiarity)

    monkeypatch.setattr(training, "familiarity_threshold", kept)
    thresholds = [train(read_dataset(voices), recipe, None, parts=3).metadata.familiarity for recipe in (RECIPE, TWO)]
    one, both = measured
    assert one.shape == both.shape == (60,)
    assert not np.array_equal(one, both)
    for threshold, familiarity in zip(thresholds, measured, strict=True):
        assert threshold is not None
        assert ((familiarity > 0) & (familiarity <= 1)).all()
        assert (familiarity < threshold).mean() <= 0.01
        assert threshold < np.percentile(familiarity, 5)


def test_without_a_radial_kernel_nothing_is_unfamiliar(voices: Path, tmp_path: Path) -> None:
    """A model whose members do not know familiarity has neither the output nor a threshold."""
    recipe = RECIPE.changed(options=["kernel=linear"])
    assert train(read_dataset(voices), recipe, tmp_path / "m.onnx").metadata.familiarity is None
    assert read_model(tmp_path / "m.onnx").metadata.familiarity is None
    half = dataclasses.replace(TWO, members=(*recipe.members, RHYTHM))
    assert train(read_dataset(voices), half, tmp_path / "half.onnx").metadata.familiarity is not None
    assert Detector.load(tmp_path / "half.onnx").metadata.familiarity is not None


def test_without_an_output_nothing_is_written(voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are the same, no model of all data is fitted, and no file is left, not even of features."""
    stub = with_stub(monkeypatch, Stub())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = train(read_dataset(voices), WHOLE, None, parts=3)
    assert (run.model, run.sha256, len(stub.learnt), len(run.history)) == ("", "", 3, 3)
    assert list(tmp_path.iterdir()) == []
    assert train(read_dataset(voices), WHOLE, tmp_path / "m.onnx", parts=3).held_out == run.held_out


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_model_that_differs_from_its_onnx_form_is_not_written(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """If the graph of any classifier, the last one too, gives other scores than the native model, training stops."""
    stub = with_stub(monkeypatch, Stub(off_by=0.01 if which == "first" else 0.0))
    plain = stub.train

    def corrupted(examples: Examples, held_out: Examples | None, *args: Any) -> Trained:
        stub.off_by = 0.01 if which == "first" or held_out is None else 0.0
        return plain(examples, held_out, *args)

    monkeypatch.setattr(stub, "train", corrupted)
    with pytest.raises(TrainingError, match=r"differs from the trained one by 0\.01"):
        train(read_dataset(voices), WHOLE, tmp_path / "m.onnx")
    assert len(stub.learnt) == (1 if which == "first" else 2)
    assert list(tmp_path.iterdir()) == []


# --- what is written -------------------------------------------------------------------------------------------


def test_model_file_tells_what_it_is(tiny_model: Path) -> None:
    """The metadata hold the recipe, the data's fingerprint and counts, versions, thresholds and held-out results."""
    metadata = read_model(tiny_model).metadata
    assert (metadata.name, metadata.backend, metadata.window_samples) == ("tiny", "svm", 16_000)
    assert Recipe.from_dict(metadata.recipe).to_dict() == metadata.recipe
    data = metadata.training["data"]
    assert data["all"] == {"bonafide": 30, "spoof": 30, "sources": 10}
    assert data["parts"] == [{"bonafide": 6, "spoof": 6, "sources": 2}]
    assert len(data["fingerprint"]) == 64
    assert metadata.training["held_out"]["eer"] < 0.1
    assert metadata.training["held_out"]["n"] == 12
    assert metadata.training["onnx_difference"] < 1e-3
    assert metadata.training["weights"] == [1.0]
    assert metadata.operating_points.keys() == OPERATING_POINTS.keys()
    assert {"deepfake-audio", "scikit-learn", "onnx"} <= metadata.versions.keys()


def test_run_record_lies_beside_the_model(tiny_model: Path) -> None:
    """The record names the model, its hash, how long each step took, and what was said of each held-out recording."""
    record = json.loads(tiny_model.with_suffix(".json").read_text())
    assert record["model"] == tiny_model.name
    assert record["sha256"] == read_model(tiny_model).sha256
    assert record["seconds"].keys() == {"reading", "training"}
    assert len(record["held_out"]["llr_genuine"]) == 12
    assert len(record["history"]) == 2
    assert ModelMetadata.from_json(json.dumps(record["metadata"])) == read_model(tiny_model).metadata


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


def test_joined_graph_is_small_and_plain(tiny_model: Path) -> None:
    """The file has one input and one output with the promised names, and only standard operators."""
    graph = onnx.load(tiny_model).graph
    assert [i.name for i in graph.input] == ["signal"]
    assert [o.name for o in graph.output] == ["score", "familiarity"]
    assert {node.domain for node in graph.node} <= {"", "ai.onnx.ml"}


def test_the_record_never_takes_the_models_place(voices: Path, tmp_path: Path) -> None:
    """A model that is named like a record keeps its file, and the record finds another name."""
    train(read_dataset(voices), RECIPE, tmp_path / "m.json")
    assert read_model(tmp_path / "m.json").metadata.backend == "svm"
    assert json.loads((tmp_path / "m.json.json").read_text())["model"] == "m.json"


def test_several_members(voices: Path, tmp_path: Path) -> None:
    """Members with features and options of their own become one model, and cross-validation tells of each part."""
    run = train(read_dataset(voices), TWO, tmp_path / "m.onnx", parts=2)
    metadata = read_model(tmp_path / "m.onnx").metadata
    assert metadata.recipe == TWO.to_dict()
    assert len(metadata.training["weights"]) == len(metadata.training["members"]) == 2
    assert max(metadata.training["weights"]) > 0
    assert [part["bonafide"] + part["spoof"] for part in metadata.training["data"]["parts"]] == [30, 30]
    assert (run.held_out.n, len(run.held_out.parts), len(run.history)) == (60, 2, 6)
    Detector.load(tmp_path / "m.onnx")


def test_a_member_without_weight_is_left_out(voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not count is not computed either."""
    monkeypatch.setattr(training, "fit_weights", lambda *_: np.array([0.0, 2.0]))
    train(read_dataset(voices), TWO, tmp_path / "m.onnx")
    assert read_model(tmp_path / "m.onnx").metadata.training["weights"] == [0.0, 2.0]
    # The branches that are left are numbered anew.
    assert names_of(tmp_path / "m.onnx") == {"member0", "score", "familiarity"}


@needs_cnn
def test_svm_and_cnn_together(voices: Path, tmp_path: Path) -> None:
    """Both backends become one model, in which the network is not fitted anew; all versions are named."""
    cnn = small_cnn()
    recipe = Recipe((*RECIPE.members, *cnn.members), "both", 0.5)
    run = train(read_dataset(voices), recipe, tmp_path / "m.onnx")
    metadata = read_model(tmp_path / "m.onnx").metadata
    assert metadata.backend == "fusion"
    assert {"keras", "tf2onnx", "scikit-learn"} <= metadata.versions.keys()
    assert all("history" not in facts for facts in metadata.training["members"])
    assert ["history" in facts for facts in run.history] == [False, False, True]
    Detector.load(tmp_path / "m.onnx")


# --- recorded noise and rooms ----------------------------------------------------------------------------------


def often(*changes: str) -> Recipe:
    """Return a recipe of one copy of each window, to which these changes always happen."""
    (member,) = RECIPE.members
    member = dataclasses.replace(member, copies=1, augmentation=dict.fromkeys(changes, 1.0))
    return dataclasses.replace(RECIPE, members=(member,))


def test_recorded_noise_and_rooms_make_another_model(voices: Path, tmp_path: Path) -> None:
    """Noises, other noises, rooms and none of them each give other features and another model; the same the same."""
    kinds: list[dict[str, Any]] = [
        {},
        {"noises": (noise(1.0), noise(0.5, seed=1))},
        {"noises": (noise(1.0), noise(0.5, seed=2))},
        {"rooms": (noise(0.1, seed=3),)},
        {"noises": [noise(1.0), noise(0.5, seed=1)]},
    ]
    runs = [
        train(
            read_dataset(voices),
            often("noise", "room"),
            tmp_path / f"{number}.onnx",
            cache=tmp_path / "cache",
            **recorded,
        )
        for number, recorded in enumerate(kinds)
    ]
    hashes = [run.sha256 for run in runs]
    assert hashes[4] == hashes[1]
    assert len(set(hashes[:4])) == len(list((tmp_path / "cache").iterdir())) == 4
    facts = [read_model(tmp_path / f"{number}.onnx").metadata.training["recorded"] for number in range(4)]
    assert facts[0] == {}
    assert [facts[number]["noises"]["n"] for number in (1, 2)] == [2, 2]
    assert facts[3].keys() == {"rooms"}
    assert len({recorded["sha256"] for fact in facts for recorded in fact.values()}) == 3
    assert {run.metadata.recipe["name"] for run in runs} == {"svm"}


@pytest.mark.parametrize(
    ("recipe", "kind", "change"),
    [
        pytest.param(RECIPE, "noises", "noise", id="no copies"),
        pytest.param(TWO, "rooms", "room", id="no copies for any member"),
        pytest.param(often("noise"), "rooms", "room", id="rooms of no probability"),
    ],
)
def test_recordings_without_effect(
    recipe: Recipe, kind: str, change: str, voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recordings that no copy would ever meet are refused before any work."""
    no_work(monkeypatch)
    with pytest.raises(DataError) as raised:
        train(read_dataset(voices), recipe, None, parts=3, **{kind: (noise(0.1),)})  # type: ignore[arg-type]
    assert str(raised.value) == (
        f"{kind}: the recipe {recipe.name!r} makes no copies with the change {change!r}, so they would have no effect; "
        "ask for copies, or leave them out"
    )


# --- sounds without speech ---------------------------------------------------------------------------------------


def test_sounds_without_speech_get_no_verdict(voices: Path, tmp_path: Path) -> None:
    """A model that was given beeps and hiss refuses new ones, keeps its scores, and says what it refused held out."""
    sounds = [made(2.0, seed=seed) for seed in range(12) for made in (_beeps, noise)]
    recipe = dataclasses.replace(RECIPE, name="svm")
    plain = train(read_dataset(voices), recipe, tmp_path / "plain.onnx", parts=3)
    run = train(read_dataset(voices), recipe, tmp_path / "knows.onnx", parts=3, non_speech=sounds)
    refused = run.metadata.training["held_out"]["non_speech"]
    assert refused["n"] > 0
    assert refused["refused"] > 0.8
    assert run.metadata.training["recorded"]["non_speech"]["n"] == 24
    assert run.held_out.llr_genuine == plain.held_out.llr_genuine
    detector = Detector.load(tmp_path / "knows.onnx")
    soundfile.write(tmp_path / "beeps.wav", _beeps(2.0, seed=99), RATE)
    found = detector.score(tmp_path / "beeps.wav")
    assert isinstance(found, Detection)
    assert found.verdict == "no_speech" or "out_of_domain" in found.reasons
    spoken = [detector.score(path) for path in sorted(voices.rglob("*.wav"))]
    unfamiliar = [r for r in spoken if isinstance(r, Detection) and "out_of_domain" in r.reasons]
    assert len(unfamiliar) <= len(spoken) // 10


def _beeps(seconds: float, seed: int) -> npt.NDArray[np.float32]:
    """Return tones that go on and off, over a faint hiss."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * rng.uniform(300, 2_000) * time) * (np.sin(2 * np.pi * rng.uniform(2, 6) * time) > 0)
    return np.asarray(0.3 * tone + 1e-3 * noise(seconds, seed=seed), dtype=np.float32)


def test_sounds_without_speech_need_a_member_that_learns_from_them(
    voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A linear kernel knows no familiarity: that is said before any work."""
    no_work(monkeypatch)
    (member,) = RECIPE.members
    linear = dataclasses.replace(member, options=dataclasses.replace(member.options, kernel="linear"))
    with pytest.raises(DataError, match=r"non_speech: no member of the recipe .* leave them out"):
        train(read_dataset(voices), dataclasses.replace(RECIPE, members=(linear,)), None, non_speech=(noise(0.5),))


# --- repeatability ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_same_seed_same_file_whatever_the_jobs(voices: Path, tmp_path: Path, jobs: int) -> None:
    """Seed and data determine the bytes of the model file, with changed copies and cross-validation too."""
    recipe = dataclasses.replace(TWO, seed=7).to_dict()
    recipe["members"][0]["copies"] = 1
    first, second = (
        train(read_dataset(voices), Recipe.from_dict(recipe), tmp_path / f"{n}.onnx", parts=2, jobs=n)
        for n in (1, jobs)
    )
    assert first.sha256 == second.sha256


def test_another_seed_gives_another_model(voices: Path, tmp_path: Path) -> None:
    """The seed is not decoration."""
    one, other = (train(read_dataset(voices), RECIPE.changed(seed=n), tmp_path / f"{n}.onnx") for n in (0, 1))
    assert one.sha256 != other.sha256


def test_the_cache_changes_nothing(voices: Path, tmp_path: Path) -> None:
    """With features from a directory that earlier runs filled, the same model comes out."""
    stages: list[str] = []

    def progress(stage: str, step: int, steps: int, note: str = "") -> None:  # noqa: ARG001
        stages.append(f"{stage}: {note}")

    runs = [
        train(read_dataset(voices), RECIPE, tmp_path / f"{n}.onnx", cache=cache, progress=progress)
        for n, cache in enumerate((None, tmp_path / "cache", tmp_path / "cache"))
    ]
    assert len({run.sha256 for run in runs}) == 1
    assert stages.count("features (svm): from the cache") == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_progress_reaches_its_end(voices: Path, tmp_path: Path) -> None:
    """Every stage is reported up to its last step."""
    last: dict[str, tuple[int, int]] = {}

    def progress(stage: str, step: int, steps: int, note: str = "") -> None:  # noqa: ARG001
        last[stage] = (step, steps)

    train(read_dataset(voices), RECIPE, tmp_path / "m.onnx", progress=progress)
    assert last.keys() == {
        "reading",
        "features (svm)",
        "training (svm, without part 1)",
        "scoring what was held out (svm)",
        "training (svm, on all)",
    }
    assert all(step == steps for step, steps in last.values())


# --- refusals --------------------------------------------------------------------------------------------------


def no_work(patch: pytest.MonkeyPatch) -> None:
    """Fail where recordings would be read."""
    patch.setattr(training, "read_speech", lambda *_: pytest.fail("work was done"))


def test_one_class_only(voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set without deepfakes is refused with the reason before any work, and nothing is written."""
    no_work(monkeypatch)
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
    """More than 5 % stop it, and nothing is written."""
    with pytest.raises(DataError, match=r"4 of 60 files cannot be used, more than 5%.*000\.wav"):
        train(with_bad_files(tmp_path / "data", 4), RECIPE, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_identical_files_with_different_labels(tmp_path: Path) -> None:
    """A file that is both genuine and a deepfake is refused."""
    write_voices(tmp_path / "data")
    copy = tmp_path / "data" / "deepfake" / "source0" / "copy.wav"
    shutil.copy(tmp_path / "data" / "genuine" / "source0" / "000.wav", copy)
    with pytest.raises(DataError, match=r"identical files with different labels"):
        train(read_dataset(tmp_path / "data"), RECIPE, tmp_path / "m.onnx")


def test_more_parts_than_groups(voices: Path) -> None:
    """Each part needs groups of its own."""
    with pytest.raises(DataError, match="in each of 11 parts that share no group"):
        train(read_dataset(voices), RECIPE, None, parts=11)


@pytest.mark.parametrize("what", ["output", "record", "cache", "log_dir"])
def test_what_cannot_be_written_is_refused_before_any_work(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A missing directory, or a file in the place of one, is found out at once, not after hours."""
    no_work(monkeypatch)
    (tmp_path / "file").touch()
    (tmp_path / "m.json").mkdir()
    output = {"output": tmp_path / "no" / "m.onnx", "record": tmp_path / "m.onnx"}.get(what, tmp_path / "x.onnx")
    directories: dict[str, Any] = {name: tmp_path / "file" for name in ("cache", "log_dir") if name == what}
    message = {"output": "there is no directory", "record": "m.json: is a directory"}.get(what, "file: cannot be made")
    with pytest.raises(OutputError, match=message):
        train(read_dataset(voices), RECIPE, output, **directories)


def test_a_missing_extra_is_found_out_before_any_work(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all members, the one whose library is missing says what to install."""
    no_work(monkeypatch)
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    recipe = Recipe((*RECIPE.members, *small_cnn().members), "both", 0.5)
    with pytest.raises(MissingExtraError, match=r"pip install 'deepfake-audio\[cnn\]'"):
        train(read_dataset(voices), recipe, tmp_path / "m.onnx")
