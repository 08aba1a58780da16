"""Localisation: the timeline of a recording, and where in it something looks synthetic."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import RATE, FloatArray, noise, silence, voice

from deepfake_audio.audio import Recording, open_recording, recording_of
from deepfake_audio.calibration import Calibration, p_deepfake
from deepfake_audio.detector import Detection, Detector
from deepfake_audio.errors import AudioError
from deepfake_audio.localisation import CERTAIN, HOP_SECONDS, LIKELY, Region, Timeline, TimelineScorer, regions
from deepfake_audio.modelfile import ModelFile, WindowScores, read_model
from deepfake_audio.speech import Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HOP = round(HOP_SECONDS * RATE)


def sharp(tiny_model: Path, **changes: Any) -> ModelFile:
    """Return the model that the tests train with larger scores, as one has that learnt from more than sixty files."""
    file = read_model(tiny_model)
    changes = {"calibration": Calibration(10.0, -1.0), "familiarity": 0.0, **changes}
    return dataclasses.replace(file, metadata=dataclasses.replace(file.metadata, **changes))


@pytest.fixture(scope="module")
def detector(tiny_model: Path) -> Detector:
    """Return a detector that looks for regions."""
    return Detector(sharp(tiny_model), hop_seconds=HOP_SECONDS)


def detected(detector: Detector, signal: FloatArray, rate: int = RATE) -> Detection:
    """Return what a detector says of a signal."""
    return detector.score_recording(recording_of(signal, rate))


def spans(detection: Detection) -> list[tuple[float, float]]:
    """Return where the regions are."""
    assert detection.regions is not None
    return [(region.start, region.end) for region in detection.regions]


# --- the timeline ----------------------------------------------------------------------------------------------


def scored(
    stretches: Sequence[Stretch], *, piece: int = 8, hop: int = 2, duration: float = 1000.0
) -> tuple[Timeline, list[list[float]]]:
    """Return the timeline of speech at 8 Hz, and the pieces; the score of a piece is its first sample."""
    pieces: list[list[float]] = []

    def score(batch: FloatArray) -> Any:
        pieces.extend(batch.tolist())
        return batch[:, 0].astype(np.float64)

    scorer = TimelineScorer(score, 8, piece, hop / 8)
    assert list(scorer.watch(iter(stretches))) == list(stretches)
    return scorer.timeline(duration, 0.0), pieces


def ramp(start: int, length: int, first: int = 0) -> Stretch:
    """Return a stretch at a place in the recording, of which each sample is its number in the speech."""
    return Stretch(start, np.arange(first, first + length, dtype=np.float32))


@pytest.mark.parametrize(
    ("length", "starts"),
    [
        pytest.param(8, [0], id="one piece"),
        pytest.param(9, [0, 1], id="a sample more"),
        pytest.param(10, [0, 2], id="one step more"),
        pytest.param(21, [0, 2, 4, 6, 8, 10, 12, 13], id="many and a rest"),
    ],
)
def test_pieces_cover_the_speech_to_its_last_sample(length: int, starts: list[int]) -> None:
    """Pieces begin a step apart, and the last one ends where the speech does."""
    _, pieces = scored([ramp(0, length)])
    assert pieces == [list(range(start, start + 8)) for start in starts]


def test_short_speech_is_repeated_until_the_piece_is_full() -> None:
    """As the detector does with speech shorter than a window."""
    timeline, pieces = scored([ramp(40, 3)])
    assert pieces == [[0, 1, 2, 0, 1, 2, 0, 1]]
    # 3 samples are nearest to two steps of 2.
    assert timeline.start.tolist() == [5.0, 5.125]
    assert timeline.end.tolist() == [5.125, 5.375]


def test_cells_are_between_the_middles_of_their_pieces() -> None:
    """Of a straight line of scores, cells are on the line; before the first and after the last middle it is flat."""
    timeline, _ = scored([ramp(0, 20)])
    assert timeline.start.tolist() == [n / 4 for n in range(10)]
    assert timeline.end.tolist() == [(n + 1) / 4 for n in range(10)]
    assert timeline.times.tolist() == [n / 4 + 1 / 8 for n in range(10)]
    # Pieces begin at 0, 2, ... 12 with that as their score, and their middles are 4 later; cells' are 1, 3, ... 19.
    assert timeline.llr.tolist() == [0, 0, 1, 3, 5, 7, 9, 11, 12, 12]
    assert timeline.p_deepfake.tolist() == [p_deepfake(llr) for llr in timeline.llr.tolist()]
    assert (timeline.hop_seconds, timeline.duration_seconds, timeline.llr_genuine) == (0.25, 1000.0, 0.0)


def test_the_last_piece_is_where_the_speech_ends() -> None:
    """A sample more than pieces reach, and the last piece is but a sample behind the one before."""
    timeline, _ = scored([ramp(0, 21)])
    # Cells begin at 0, 2, ... 18. The last pieces have their middles at 16 and 17, the last cells at 17 and 19.5.
    assert timeline.llr.tolist() == [0, 0, 1, 3, 5, 7, 9, 11, 13, 13]


def test_cells_keep_their_places_and_leave_out_pauses() -> None:
    """Each stretch has cells of its own, as nearly a step long as can be."""
    timeline, _ = scored([ramp(80, 5), ramp(160, 4, 5), ramp(164, 1, 9), ramp(800, 6, 10)], duration=100.7)
    # 5 samples are two cells of 2 and 3, 4 are two, 1 is one, 6 are three.
    assert (timeline.start * 8).tolist() == [80, 82, 160, 162, 164, 800, 802, 804]
    assert (timeline.end * 8).tolist() == pytest.approx([82, 85, 162, 164, 165, 802, 804, 100.7 * 8])
    # Pieces begin at 0, 2, 4, 6, 8 in the speech of 16 samples; cells' middles are where the cells are in it.
    assert timeline.llr.tolist() == pytest.approx([0.0, 0.0, 2.0, 4.0, 5.5, 7.0, 8.0, 8.0])


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 8))
def test_the_timeline_does_not_depend_on_how_speech_comes(lengths: list[int], hop: int) -> None:
    """Speech in one stretch has the pieces that it has in many; its cells cover all of it and nothing twice."""
    firsts = [0, *itertools.accumulate(lengths)]
    whole, pieces = scored([ramp(0, firsts[-1])], hop=hop)
    parts, same = scored([ramp(first, n, first) for first, n in zip(firsts[:-1], lengths, strict=True)], hop=hop)
    assert same == pieces
    for timeline in (whole, parts):
        assert timeline.start[0] == 0
        assert timeline.end[-1] * 8 == firsts[-1]
        assert timeline.start[1:].tolist() == timeline.end[:-1].tolist()
        assert (timeline.end > timeline.start).all()


def test_no_speech_has_no_cells() -> None:
    """Without speech, or with too little for a score, the timeline is empty."""
    timeline, pieces = scored([])
    assert len(timeline.llr) == len(timeline.start) == len(timeline.end) == len(timeline.p_deepfake) == 0
    assert pieces == []
    scorer = TimelineScorer(lambda batch: batch[:, 0].astype(np.float64), 8, 8, 0.25)
    list(scorer.watch(iter([ramp(0, 3)])))
    assert len(scorer.timeline(1.0, None).llr) == 0


@pytest.mark.parametrize("hop_seconds", [0.0, -0.25, 1.01, math.inf, math.nan, 1e-9])
def test_steps_that_leave_speech_out(hop_seconds: float, tiny_model: Path) -> None:
    """A step is at least a sample and at most a piece; what is neither is refused before any work."""
    with pytest.raises(ValueError, match=r"hop_seconds must be more than 0 and at most 1 s, got"):
        Detector(read_model(tiny_model), hop_seconds=hop_seconds)


def test_pieces_are_no_longer_than_the_window(tiny_model: Path) -> None:
    """Where the model's window is shorter than a second, so are the pieces, and the steps."""
    with pytest.raises(ValueError, match=r"at most 0\.5 s"):
        Detector(sharp(tiny_model, window_samples=RATE // 2, hop_samples=RATE // 2), hop_seconds=0.6)


# --- rules -----------------------------------------------------------------------------------------------------


def line(*parts: tuple[float, int], llr_genuine: float = 1.0) -> Timeline:
    """Return a timeline of cells of 0.25 s without pauses: so many of each value in turn."""
    llr = np.repeat([value for value, _ in parts], [n for _, n in parts]).astype(np.float64)
    start = np.arange(len(llr), dtype=np.float64) * 0.25
    return Timeline(start, start + 0.25, llr, 0.25, len(llr) * 0.25, llr_genuine)


def cells_of(timeline: Timeline) -> list[tuple[int, int]]:
    """Return the first cell of each region, and the one behind its last."""
    return [(round(4 * region.start), round(4 * region.end)) for region in regions(timeline)]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([(1.0, 40)], [], id="nothing"),
        pytest.param([(1.0, 20), (-3.4, 8), (1.0, 20)], [], id="too shallow"),
        # The mean over three cells is (1 + 2 * -6) / 3 at the first cell of the dip and (2 * 1 - 6) / 3 outside.
        pytest.param([(1.0, 20), (-6.0, 8), (1.0, 20)], [(20, 28)], id="a dip"),
        # A mean over five cells of 4 * -6 + 1 is deep enough, one of 3 * -6 + 2 is not.
        pytest.param([(1.0, 20), (-6.0, 4), (1.0, 20)], [(20, 24)], id="a short dip"),
        pytest.param([(1.0, 20), (-6.0, 3), (1.0, 20)], [], id="a shorter one"),
        pytest.param([(-6.0, 8), (1.0, 40)], [(0, 8)], id="at the beginning"),
        pytest.param([(1.0, 40), (-6.0, 8)], [(40, 48)], id="at the end"),
        # Half of -6 is -3. Means over three cells: (2 * -2 - 6) / 3 at the last cell of -2, -2 at the one before; -4 at
        # the last but one of -4, (2 * -4 + 1) / 3 at the last.
        pytest.param([(1.0, 20), (-2.0, 4), (-6.0, 8), (-4.0, 4), (1.0, 20)], [(23, 35)], id="a slope at either side"),
        pytest.param([(1.0, 9), (-6.0, 8), (1.0, 4), (-5.0, 8), (1.0, 9)], [(9, 29)], id="a second apart"),
        pytest.param([(1.0, 9), (-6.0, 8), (1.0, 5), (-5.0, 8), (1.0, 9)], [(9, 17), (22, 30)], id="further apart"),
        pytest.param([(-4.0, 1)], [(0, 1)], id="one cell"),
        pytest.param([(CERTAIN, 9)], [(0, 9)], id="just deep enough"),
        pytest.param([], [], id="no cells"),
    ],
)
def test_regions_of_a_genuine_recording(parts: list[tuple[float, int]], expected: list[tuple[int, int]]) -> None:
    """Regions are deep somewhere, and reach as far as the score is half as deep."""
    assert cells_of(line(*parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([(-1.0, 40)], [(0, 40)], id="shallow throughout"),
        pytest.param([(-1.0, 9), (-6.0, 8), (-1.0, 9)], [(0, 26)], id="deep in one place"),
        pytest.param([(-6.0, 20), (1.0, 20), (-1.0, 20)], [(0, 20)], id="nothing known from the middle on"),
        pytest.param([(-6.0, 20), (1.0, 20), (-6.0, 20)], [(0, 20), (40, 60)], id="genuine in the middle"),
        pytest.param([(0.0, 9), (-6.0, 30), (0.0, 9)], [(9, 39)], id="nothing known at both ends"),
    ],
)
def test_regions_of_a_synthetic_recording(parts: list[tuple[float, int]], expected: list[tuple[int, int]]) -> None:
    """Where the whole is likely synthetic, so is what is between regions, unless it is not."""
    assert cells_of(line(*parts, llr_genuine=np.nextafter(LIKELY, -1))) == expected


def test_what_is_between_regions_is_theirs_in_a_synthetic_recording_alone() -> None:
    """As soon as the whole is not likely synthetic, regions need their own proof."""
    assert cells_of(line((-1.0, 40), llr_genuine=LIKELY)) == []


def test_a_region_has_the_mean_of_its_cells() -> None:
    """Its strength is that of all of it, not of its deepest place."""
    (region,) = regions(line((1.0, 20), (-6.0, 8), (-5.5, 8), (1.0, 20)))
    assert region == Region(5.0, 9.0, p_deepfake(-5.75), -5.75)


def test_pauses_within_a_region_belong_to_it() -> None:
    """A region goes from its first cell to its last one."""
    timeline = line((1.0, 20), (-6.0, 8), (1.0, 20))
    late = np.where(np.arange(48) >= 24, 60.0, 0.0)
    (region,) = regions(dataclasses.replace(timeline, start=timeline.start + late, end=timeline.end + late))
    assert (region.start, region.end) == (5.0, 67.0)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-9, 5), st.integers(1, 9)), max_size=12),
    st.floats(-3, 3),
    st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0]),
)
def test_regions_are_in_order_and_apart(parts: list[tuple[float, int]], llr_genuine: float, hop: float) -> None:
    """Whatever the timeline, regions lie in it, in order, without touching."""
    timeline = dataclasses.replace(line(*parts, llr_genuine=llr_genuine), hop_seconds=hop)
    found = regions(timeline)
    for region in found:
        assert 0 <= region.start < region.end <= timeline.duration_seconds
        assert region.p_deepfake == p_deepfake(region.llr)
    assert all(a.end < b.start for a, b in itertools.pairwise(found))


# --- the detector ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3001, 3003, 3004, 3005, 3006, 3008, 3009])
@pytest.mark.parametrize("seconds", [1.5, 2.5, 6.0])
def test_a_synthetic_stretch_is_found(seconds: float, seed: int, detector: Detector) -> None:
    """In a genuine recording, both ends of a robotic stretch are found within half a second."""
    parts = (voice(5.0, seed=seed), voice(seconds, seed=seed, robotic=True), voice(5.0, seed=seed + 50))
    detection = detected(detector, np.concatenate(parts))
    ((start, end),) = spans(detection)
    assert abs(start - 5.0) <= 0.5
    assert abs(end - (5.0 + seconds)) <= 0.5


@pytest.mark.parametrize("seed", range(3000, 3008))
def test_a_genuine_recording_has_no_region(seed: int, detector: Detector) -> None:
    """Where nothing was put in, nothing is found."""
    assert spans(detected(detector, voice(20.0, seed=seed))) == []


@pytest.mark.parametrize("seed", range(3000, 3004))
def test_a_synthetic_recording_is_one_region(seed: int, detector: Detector) -> None:
    """What is robotic from beginning to end is one region from beginning to end."""
    detection = detected(detector, voice(12.0, seed=seed, robotic=True))
    assert spans(detection) == [(0.0, 12.0)]
    assert detection.verdict == "deepfake"


def test_regions_are_in_the_time_of_the_file(detector: Detector) -> None:
    """Pauses, which are left out before scoring, move a region by their length; none is a part of it at its ends."""
    parts = [silence(7.0), voice(5.0, seed=3001), silence(20.0), voice(3.0, seed=3004, robotic=True), silence(9.0)]
    detection = detected(detector, np.concatenate([*parts, voice(5.0, seed=3051)]))
    ((start, end),) = spans(detection)
    # Up to 0.16 s of silence at either end are kept for breath.
    assert 31.8 <= start <= 32.5
    assert 34.5 <= end <= 35.2


@pytest.mark.parametrize("seed", [3001, 3002, 3010])
def test_nothing_else_changes(seed: int, tiny_model: Path, detector: Detector) -> None:
    """A detector that looks for regions gives the score, the verdict and the segments that one gives that does not."""
    signal = np.concatenate([voice(4.3, seed=seed), silence(1.0), voice(3.0, seed=seed, robotic=seed == 3002)])
    plain = detected(Detector(sharp(tiny_model)), signal)
    full = detected(detector, signal)
    assert (plain.regions, plain.timeline) == (None, None)
    assert full.timeline is not None
    assert dataclasses.replace(full, regions=None) == plain
    assert full.timeline.llr_genuine == plain.llr_genuine
    assert full.timeline.duration_seconds == plain.duration_seconds


def test_cells_are_scores_of_the_model(tiny_model: Path, detector: Detector) -> None:
    """A piece is scored as a recording that holds nothing else."""
    signal = voice(1.0, seed=3001)
    detection = detected(detector, signal)
    assert detection.timeline is not None
    alone = detected(Detector(sharp(tiny_model)), signal).llr_genuine
    assert detection.timeline.llr.tolist() == pytest.approx([alone] * 4, abs=1e-4)


@pytest.mark.parametrize(
    ("signal", "verdict"),
    [
        pytest.param(silence(3.0), "no_speech", id="silence"),
        pytest.param(noise(3.0), "no_speech", id="hiss"),
        pytest.param(voice(0.3), "no_speech", id="a syllable"),
    ],
)
def test_no_speech_has_no_regions(signal: FloatArray, verdict: str, detector: Detector) -> None:
    """What is not scored is not located either."""
    detection = detected(detector, signal)
    assert (detection.verdict, detection.regions) == (verdict, ())
    assert detection.timeline is not None
    assert len(detection.timeline.llr) == 0


def test_where_the_model_knows_nothing_there_are_no_regions(tiny_model: Path) -> None:
    """Of a recording that is too short or unlike what was learnt, no part is judged; its timeline is there to see."""
    robotic = voice(12.0, seed=3004, robotic=True)
    foreign = detected(Detector(sharp(tiny_model, familiarity=1.01), hop_seconds=HOP_SECONDS), robotic)
    assert (foreign.reasons, foreign.regions) == (("out_of_domain",), ())
    assert foreign.timeline is not None
    assert len(foreign.timeline.llr) == 48
    short = detected(Detector(sharp(tiny_model), hop_seconds=HOP_SECONDS), robotic[: RATE * 8 // 10])
    assert (short.reasons, short.regions) == (("too_short",), ())


def test_where_the_evidence_is_mixed_there_are(tiny_model: Path) -> None:
    """A recording that is inconclusive because it is half synthetic says which half."""
    mixed = np.concatenate([voice(6.0, seed=3001), voice(6.0, seed=3004, robotic=True)])
    llr = detected(Detector(sharp(tiny_model)), mixed).llr_genuine
    detection = detected(Detector(sharp(tiny_model), threshold=llr, hop_seconds=HOP_SECONDS), mixed)
    assert detection.reasons == ("too_close",)
    ((start, end),) = spans(detection)
    assert start == pytest.approx(6.0, abs=0.5)
    assert end == 12.0


def test_threshold_does_not_decide_on_regions(tiny_model: Path) -> None:
    """Regions are about the evidence, verdicts about what one makes of it."""
    signal = np.concatenate([voice(5.0, seed=3001), voice(3.0, seed=3004, robotic=True)])
    found = {
        spans(detected(Detector(sharp(tiny_model), threshold=t, hop_seconds=HOP_SECONDS), signal))[0]
        for t in (-20.0, 0.0, 20.0)
    }
    assert len(found) == 1


def test_container_does_not_decide(detector: Detector, tmp_path: Path) -> None:
    """The same samples have the same regions as WAV and FLAC, stereo and mono."""
    parts = (voice(5.0, seed=3001), voice(3.0, seed=3004, robotic=True), voice(4.0, seed=3051))
    samples = np.round(np.concatenate(parts) * 32_768).astype(np.int16)
    found = []
    for name, data in (("a.wav", samples), ("a.flac", samples), ("b.wav", np.stack([samples] * 2, axis=1))):
        soundfile.write(tmp_path / name, data, RATE)
        detection = detector.score(tmp_path / name)
        assert isinstance(detection, Detection)
        found.append(spans(detection))
    assert len(found[0]) == 1
    assert found == [found[0]] * 3


def test_sample_rate_hardly_decides(detector: Detector) -> None:
    """Regions do not reach beyond a recording whose length is no whole number of the model's samples."""
    detection = detected(detector, voice(9.001, rate=22_050, seed=3004, robotic=True), 22_050)
    ((start, end),) = spans(detection)
    assert start == 0.0
    assert end == pytest.approx(detection.duration_seconds, abs=1e-4)
    assert end <= detection.duration_seconds


def test_locate(detector: Detector, tmp_path: Path) -> None:
    """The timeline can be had alone, of a file or of an opened recording, with another step."""
    path = tmp_path / "a.wav"
    soundfile.write(path, voice(6.0, seed=3001), RATE, subtype="FLOAT")
    detection = detector.score(path)
    assert isinstance(detection, Detection)
    assert detection.timeline is not None
    with open_recording(path) as recording:
        timelines = [detector.locate(path), detector.locate(recording)]
    for timeline in timelines:
        for found, expected in zip(
            (timeline.start, timeline.end, timeline.llr),
            (detection.timeline.start, detection.timeline.end, detection.timeline.llr),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)
    assert len(detector.locate(path, hop_seconds=0.5).llr) == 12
    with pytest.raises(AudioError, match="no such file"):
        detector.locate(tmp_path / "b.wav")


def test_results_travel(detector: Detector) -> None:
    """Results with regions are equal after a trip through pickle, and so is what a copy of the detector gives."""
    signal = np.concatenate([voice(5.0, seed=3001), voice(3.0, seed=3004, robotic=True)])
    detection = detected(detector, signal)
    copy = pickle.loads(pickle.dumps(detector))  # noqa: S301 - our own
    back = pickle.loads(pickle.dumps(detection))  # noqa: S301 - our own
    assert back == detection == detected(copy, signal)
    np.testing.assert_array_equal(back.timeline.llr, detection.timeline.llr if detection.timeline else [])


# --- resources -------------------------------------------------------------------------------------------------


class Counting:
    """A model whose scores are constant, and that is quick; it counts what it scores, and in how large batches."""

    sha256 = "0" * 64

    def __init__(self, tiny_model: Path) -> None:
        self.metadata = sharp(tiny_model, familiarity=None).metadata
        self.n_windows = 0
        self.largest = 0

    def score(self, windows: FloatArray) -> WindowScores:
        """Count."""
        self.n_windows += len(windows)
        self.largest = max(self.largest, len(windows))
        return WindowScores(np.ones(len(windows), dtype=np.float32))


def test_an_hour_takes_hardly_more_memory_than_its_timeline(tiny_model: Path) -> None:
    """What is held does not grow with the recording, beside a few numbers for each quarter of a second."""
    block = voice(10.0, seed=3)[:, np.newaxis]

    def blocks(n: int) -> Iterator[FloatArray]:
        return (block for _ in range(n))

    peaks = []
    for minutes in (2, 60):
        model: Any = Counting(tiny_model)
        detector = Detector(model, hop_seconds=HOP_SECONDS)
        recording = Recording("hour", RATE, 1, "0" * 64, _decoded=blocks(6 * minutes))
        tracemalloc.start()
        detection = detector.score_recording(recording)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert detection.timeline is not None
        assert len(detection.timeline.llr) == pytest.approx(240 * minutes, rel=0.02)
        assert detection.timeline.end[-1] == pytest.approx(60 * minutes, abs=0.1)
        assert model.n_windows == pytest.approx(300 * minutes, rel=0.02)
        assert model.largest == 4
        assert detection.regions == ()
    # 58 minutes are 13,920 cells and 3,480 segments; the samples alone would be 220 MB.
    assert peaks[1] - peaks[0] < 13_920 * 250 + 3_480 * 250
