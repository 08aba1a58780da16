"""Evaluation: small cases, worked out on paper."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from deepfake_audio.calibration import p_deepfake
from deepfake_audio.datasets import Label, Utterance
from deepfake_audio.detector import Detection, ModelRef, Skipped, Verdict
from deepfake_audio.errors import DataError
from deepfake_audio.evaluation import COVERAGES, Covered, Evaluation, Part, evaluate

MODEL = ModelRef("tiny", "0" * 64)


def utterance(label: str, source: str = "", system: str = "") -> Utterance:
    """Return a labelled recording."""
    return Utterance(Path("x.wav"), Label(label), "x", source=source, system=system)


def detection(llr: float | None, verdict: Verdict) -> Detection:
    """Return what a detector said."""
    p = None if llr is None else p_deepfake(llr)
    return Detection("x.wav", verdict, p, llr, (), 3.0, 2.0, 16_000, 1, "0" * 64, (), MODEL)


def skipped(name: str) -> Skipped:
    """Return a recording that could not be read."""
    return Skipped(name, "damaged", f"{name}: is damaged", MODEL)


NO_SPEECH = detection(None, "no_speech")

# Genuine at 2, 1, -1; spoofed at 0.5, -2, -3; one recording unreadable, one without speech.
CASES: list[tuple[Utterance, Detection | Skipped]] = [
    (utterance("bonafide", "a"), detection(2.0, "genuine")),
    (utterance("spoof", "c", "s2"), detection(-3.0, "deepfake")),
    (utterance("bonafide", "d"), skipped("d1.wav")),
    (utterance("bonafide", "b"), detection(1.0, "inconclusive")),
    (utterance("spoof", "a", "s1"), detection(0.5, "inconclusive")),
    (utterance("spoof", "e", "s3"), NO_SPEECH),
    (utterance("spoof", "a", "s1"), detection(-2.0, "deepfake")),
    (utterance("bonafide", "a"), detection(-1.0, "deepfake")),
]
UTTERANCES = [utterance for utterance, _ in CASES]
RESULTS = [result for _, result in CASES]


def test_counts() -> None:
    """What was scored, what could not be read and what had no speech are counted apart."""
    found = evaluate(UTTERANCES, iter(RESULTS), 0.0)
    assert (found.n_bonafide, found.n_spoof, found.n_no_speech) == (3, 3, 1)
    assert found.skipped == (skipped("d1.wav"),)


def test_overall_figures() -> None:
    """The figures are those of genuine scores 2, 1, -1 against spoofed 0.5, -2, -3."""
    found = evaluate(UTTERANCES, RESULTS, 0.0)
    assert (found.eer.rate, found.eer.threshold) == (1 / 3, -1.0)
    assert found.roc_auc == pytest.approx(8 / 9)
    assert found.decisions.accuracy == pytest.approx(4 / 6)
    assert (found.decisions.frr, found.decisions.far) == (1 / 3, 1 / 3)
    costs = [math.log2(1 + math.exp(x)) for x in (-2, -1, 1, 0.5, -2, -3)]
    assert found.cllr == pytest.approx(sum(costs) / 6)


def test_calibration_error_is_that_of_the_probabilities() -> None:
    """P(deepfake) is .12, .27, .73 for genuine and .38, .88, .95 for spoof: each in a bin of its own."""
    found = evaluate(UTTERANCES, RESULTS, 0.0)
    genuine, spoof = ([p_deepfake(x) for x in scores] for scores in ((2, 1, -1), (0.5, -2, -3)))
    assert found.calibration_error == pytest.approx(sum([*genuine, *(1 - p for p in spoof)]) / 6)


def test_verdicts() -> None:
    """Four of six verdicts are conclusive, and three of these four are right."""
    found = evaluate(UTTERANCES, RESULTS, 0.0)
    assert found.coverage == pytest.approx(4 / 6)
    assert found.accuracy_when_conclusive == pytest.approx(3 / 4)


def test_nothing_conclusive() -> None:
    """Without a conclusive verdict there is no accuracy of such."""
    results = [detection(0.1, "inconclusive"), detection(-0.1, "inconclusive")]
    found = evaluate([utterance("bonafide"), utterance("spoof")], results, 0.0)
    assert (found.coverage, found.accuracy_when_conclusive) == (0.0, None)


def of_scores(bonafide: list[float], spoof: list[float], threshold: float = 0.0) -> Evaluation:
    """Evaluate recordings of which nothing but the scores matters."""
    utterances = [utterance("bonafide")] * len(bonafide) + [utterance("spoof")] * len(spoof)
    return evaluate(utterances, [detection(llr, "inconclusive") for llr in (*bonafide, *spoof)], threshold)


def test_errors_of_the_most_certain() -> None:
    """Ten scores around a threshold of 1, the three wrong ones at distances of 1, 2 and 8."""
    found = of_scores([11.0, 10.0, -7.0, 8.0, -1.0], [-6.0, -5.0, -4.0, -3.0, 2.0], 1.0)
    assert found.most_certain == (
        Covered(1.0, 10, 3 / 10, 1.0),
        Covered(0.9, 9, 2 / 9, 2.0),
        Covered(0.8, 8, 1 / 8, 4.0),
        Covered(0.7, 7, 1 / 7, 5.0),
        Covered(0.6, 6, 1 / 6, 6.0),
        Covered(0.5, 5, 1 / 5, 7.0),
    )


def test_equally_certain_recordings_stay_together() -> None:
    """Of four at distance 1, one of them wrong, half would be wanted: all count, in whatever order they come."""
    one, other = (of_scores(scores, [-1.0, -9.0]).most_certain for scores in ([1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]))
    assert one == other
    assert [(c.n, c.error_rate, c.margin) for c in one] == [(5, 1 / 5, 1.0)] * len(COVERAGES)


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.5])
def test_fewer_recordings_are_more_certain(threshold: float) -> None:
    """From one share to the next n falls and the margin grows; all together are as wrong as the decisions are."""
    rng = np.random.default_rng(7)
    bonafide, spoof = (np.round(rng.normal(mean, 2.0, 101), 1).tolist() for mean in (1.0, -1.0))
    found = of_scores(bonafide, spoof, threshold)
    n = [covered.n for covered in found.most_certain]
    margins = [covered.margin for covered in found.most_certain]
    assert n == sorted(n, reverse=True)
    assert margins == sorted(margins)
    assert all(covered.n >= covered.share * 202 for covered in found.most_certain)
    assert found.most_certain[0].n == 202
    assert found.most_certain[0].error_rate == pytest.approx(1 - found.decisions.accuracy)


def test_most_certain_of_two() -> None:
    """One recording of each class is enough: half of them is the one farther away."""
    found = of_scores([0.0], [1.0])
    assert found.most_certain[0] == Covered(1.0, 2, 0.5, 0.0)
    assert found.most_certain[-1] == Covered(0.5, 1, 1.0, 1.0)


def test_sources() -> None:
    """Each source stands alone; one with a single class has no equal error rate, one without a score is left out."""
    assert evaluate(UTTERANCES, RESULTS, 0.0).sources == (
        Part("a", 2, 2, 0.5, 0.5, 0.5),
        Part("b", 1, 0, None, 0.0, None),
        Part("c", 0, 1, None, None, 0.0),
    )


def test_systems() -> None:
    """Each system's recordings are compared with all genuine ones: s1 is 0.5 and -2 against 2, 1, -1."""
    assert evaluate(UTTERANCES, RESULTS, 0.0).systems == (
        Part("s1", 3, 2, (1 / 3 + 1 / 2) / 2, 1 / 3, 1 / 2),
        Part("s2", 3, 1, 0.0, 1 / 3, 0.0),
    )


def test_rates_are_at_the_given_threshold() -> None:
    """A threshold of 1.5 moves the decisions of all tables, and no equal error rate."""
    low, high = (evaluate(UTTERANCES, RESULTS, threshold) for threshold in (0.0, 1.5))
    assert high.decisions.threshold == 1.5
    assert high.decisions.frr == pytest.approx(2 / 3)
    assert high.sources[0] == Part("a", 2, 2, 0.5, 0.5, 0.0)
    assert high.systems[0].frr == pytest.approx(2 / 3)
    assert (high.eer, high.macro_eer) == (low.eer, low.macro_eer)


def test_macro_eer_is_the_mean_of_sources() -> None:
    """A source counts once, however large; sources with one class do not count; without any there is none."""
    perfect = [(utterance("bonafide", "p"), detection(9.0, "genuine"))]
    perfect += [(utterance("spoof", "p"), detection(-9.0, "deepfake"))] * 5
    cases = [*CASES, *perfect]
    assert evaluate([u for u, _ in cases], [r for _, r in cases], 0.0).macro_eer == pytest.approx((0.5 + 0.0) / 2)
    apart = [utterance("bonafide", "x"), utterance("spoof", "y")]
    assert evaluate(apart, [detection(1.0, "genuine"), detection(-1.0, "deepfake")], 0.0).macro_eer is None


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        pytest.param(
            [(utterance("bonafide"), detection(1.0, "genuine"))],
            "nothing to evaluate: there are no spoofed trials, so no error rate is defined",
            id="one class",
        ),
        pytest.param(
            [],
            "nothing to evaluate: there are no bona fide trials, so no error rate is defined",
            id="nothing",
        ),
        pytest.param(
            [
                (utterance("spoof"), detection(1.0, "genuine")),
                (utterance("bonafide"), skipped("a.wav")),
                (utterance("bonafide"), skipped("b.wav")),
            ],
            "nothing to evaluate: there are no bona fide trials, so no error rate is defined; "
            "2 of 3 could not be read, first: a.wav: is damaged",
            id="not readable",
        ),
        pytest.param(
            [
                (utterance("bonafide"), detection(1.0, "genuine")),
                (utterance("spoof"), NO_SPEECH),
                (utterance("spoof"), skipped("b.wav")),
            ],
            "nothing to evaluate: there are no spoofed trials, so no error rate is defined; "
            "no speech in 1 of 3; 1 of 3 could not be read, first: b.wav: is damaged",
            id="no speech",
        ),
    ],
)
def test_missing_class(cases: list[tuple[Utterance, Detection | Skipped]], message: str) -> None:
    """Without both classes there is nothing to evaluate, and the message says what became of them."""
    with pytest.raises(DataError) as raised:
        evaluate([u for u, _ in cases], [r for _, r in cases], 0.0)
    assert str(raised.value) == message


def test_every_result_needs_its_utterance() -> None:
    """A list of results that does not match is a mistake in the program, not a smaller evaluation."""
    with pytest.raises(ValueError, match="shorter"):
        evaluate(UTTERANCES, RESULTS[:-1], 0.0)


def test_all_verdicts_are_in_the_cases() -> None:
    """The cases above hold each verdict that there is."""
    assert {r.verdict for r in RESULTS if isinstance(r, Detection)} == set(get_args(Verdict))
