"""Evaluation: small cases, worked out on paper."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from deepfake_audio.calibration import p_deepfake
from deepfake_audio.datasets import Label, Utterance
from deepfake_audio.detector import Detection, ModelRef, Skipped, Verdict
from deepfake_audio.errors import DataError
from deepfake_audio.evaluation import (
    BREAKDOWNS,
    COVERAGES,
    Breakdown,
    Covered,
    Evaluation,
    Figure,
    Part,
    Trials,
    Verdicts,
    compare,
    evaluate,
)
from deepfake_audio.metrics import asv_rates, min_tdcf, min_tdcf_2019

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


def evaluated(
    utterances: list[Utterance], results: list[Detection | Skipped] | list[Detection], threshold: float = 0.0
) -> Evaluation:
    """Evaluate what a detector said."""
    return evaluate(Trials.of(utterances, iter(results), threshold))


def parts(found: Evaluation, name: str) -> tuple[Part, ...]:
    """Return what an evaluation says by a name."""
    breakdown = found.breakdown(name)
    assert breakdown is not None
    return breakdown.parts


def test_counts() -> None:
    """What was scored, what could not be read and what had no speech are counted apart."""
    found = evaluated(UTTERANCES, RESULTS)
    assert (found.n_bonafide, found.n_spoof, found.n_no_speech) == (3, 3, 1)
    assert found.skipped == (skipped("d1.wav"),)


def test_overall_figures() -> None:
    """The figures are those of genuine scores 2, 1, -1 against spoofed 0.5, -2, -3."""
    found = evaluated(UTTERANCES, RESULTS)
    assert found.figures["eer"] == Figure(1 / 3)
    assert found.figures["roc_auc"].value == pytest.approx(8 / 9)
    assert found.at_threshold.accuracy == pytest.approx(4 / 6)
    assert (found.at_threshold.frr, found.at_threshold.far) == (1 / 3, 1 / 3)
    assert [found.figures[name].value for name in ("accuracy", "frr", "far")] == pytest.approx([4 / 6, 1 / 3, 1 / 3])
    costs = [math.log2(1 + math.exp(x)) for x in (-2, -1, 1, 0.5, -2, -3)]
    assert found.figures["cllr"].value == pytest.approx(sum(costs) / 6)


def test_calibration_error_is_that_of_the_probabilities() -> None:
    """P(deepfake) is .12, .27, .73 for genuine and .38, .88, .95 for spoof: each in a bin of its own."""
    found = evaluated(UTTERANCES, RESULTS)
    genuine, spoof = ([p_deepfake(x) for x in scores] for scores in ((2, 1, -1), (0.5, -2, -3)))
    assert found.figures["calibration_error"].value == pytest.approx(sum([*genuine, *(1 - p for p in spoof)]) / 6)


def test_verdicts() -> None:
    """Four of six verdicts are conclusive, and one of these four is wrong."""
    found = evaluated(UTTERANCES, RESULTS)
    assert found.verdicts == Verdicts(
        {"genuine": (1, 0), "deepfake": (1, 2), "inconclusive": (1, 1)}, coverage=4 / 6, error_rate=1 / 4
    )


def test_nothing_conclusive() -> None:
    """Without a conclusive verdict there is no share of wrong ones."""
    results = [detection(0.1, "inconclusive"), detection(-0.1, "inconclusive")]
    verdicts = evaluated([utterance("bonafide"), utterance("spoof")], results).verdicts
    assert verdicts is not None
    assert (verdicts.coverage, verdicts.error_rate) == (0.0, None)


def of_scores(bonafide: list[float], spoof: list[float], threshold: float = 0.0) -> Evaluation:
    """Evaluate recordings of which nothing but the scores matters."""
    utterances = [utterance("bonafide")] * len(bonafide) + [utterance("spoof")] * len(spoof)
    return evaluated(utterances, [detection(llr, "inconclusive") for llr in (*bonafide, *spoof)], threshold)


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
    assert found.most_certain[0].error_rate == pytest.approx(1 - found.at_threshold.accuracy)


def test_most_certain_of_two() -> None:
    """One recording of each class is enough: half of them is the one farther away."""
    found = of_scores([0.0], [1.0])
    assert found.most_certain[0] == Covered(1.0, 2, 0.5, 0.0)
    assert found.most_certain[-1] == Covered(0.5, 1, 1.0, 1.0)


def test_sources() -> None:
    """Each source stands alone; one with a single class has no equal error rate, one without a score is left out."""
    found = evaluated(UTTERANCES, RESULTS).breakdown("source")
    assert found is not None
    assert found.mean_eer == 0.5
    assert found.parts == (
        Part("a", 2, 2, Figure(0.5), 0.5, 0.5),
        Part("b", 1, 0, None, 0.0, None),
        Part("c", 0, 1, None, None, 0.0),
    )


def test_systems() -> None:
    """Each system's recordings are compared with all genuine ones: s1 is 0.5 and -2 against 2, 1, -1."""
    assert parts(evaluated(UTTERANCES, RESULTS), "system") == (
        Part("s1", 3, 2, Figure((1 / 3 + 1 / 2) / 2), 1 / 3, 1 / 2),
        Part("s2", 3, 1, Figure(0.0), 1 / 3, 0.0),
    )


def test_rates_are_at_the_given_threshold() -> None:
    """A threshold of 1.5 moves the decisions of all tables, and no equal error rate."""
    low, high = (evaluated(UTTERANCES, RESULTS, threshold) for threshold in (0.0, 1.5))
    assert high.at_threshold.threshold == 1.5
    assert high.at_threshold.frr == pytest.approx(2 / 3)
    assert parts(high, "source")[0] == Part("a", 2, 2, Figure(0.5), 0.5, 0.0)
    assert parts(high, "system")[0].frr == pytest.approx(2 / 3)
    assert [high.figures[name] for name in ("eer", "macro_eer")] == [low.figures[name] for name in ("eer", "macro_eer")]
    assert high.at_eer == low.at_eer


def test_decisions_at_the_equal_error_rate() -> None:
    """The score at which the walk stops, -1, is the last one rejected: one of three is wrong on either side."""
    at = evaluated(UTTERANCES, RESULTS).at_eer
    assert -1.0 < at.threshold < -0.999
    assert (at.n_bonafide_rejected, at.n_spoof_accepted) == (1, 1)


def test_macro_eer_is_the_mean_of_sources() -> None:
    """A source counts once, however large; sources with one class do not count; without any there is none."""
    perfect = [(utterance("bonafide", "p"), detection(9.0, "genuine"))]
    perfect += [(utterance("spoof", "p"), detection(-9.0, "deepfake"))] * 5
    cases = [*CASES, *perfect]
    found = evaluated([u for u, _ in cases], [r for _, r in cases])
    assert found.figures["macro_eer"].value == pytest.approx((0.5 + 0.0) / 2)
    apart = [utterance("bonafide", "x"), utterance("spoof", "y")]
    assert "macro_eer" not in evaluated(apart, [detection(1.0, "genuine"), detection(-1.0, "deepfake")]).figures


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
        evaluated([u for u, _ in cases], [r for _, r in cases])
    assert str(raised.value) == message


def test_every_result_needs_its_utterance() -> None:
    """A list of results that does not match is a mistake in the program, not a smaller evaluation."""
    with pytest.raises(ValueError, match="shorter"):
        evaluated(UTTERANCES, RESULTS[:-1])


def test_all_verdicts_are_in_the_cases() -> None:
    """The cases above hold each verdict that there is."""
    assert {r.verdict for r in RESULTS if isinstance(r, Detection)} == set(get_args(Verdict))


# --- break-downs ------------------------------------------------------------------------------------------------


def told(label: str, llr: float, *, duration: float = 3.0, **facts: str) -> tuple[Utterance, Detection]:
    """Return a recording of which a protocol tells further facts, and what a detector says of it."""
    names = ("source", "system", "speaker")
    own = {name: facts.pop(name) for name in names if name in facts}
    recording = Utterance(Path("x.wav"), Label(label), "x", facts=facts, **own)
    found = detection(llr, "genuine" if llr >= 0 else "deepfake")
    return recording, dataclasses.replace(found, duration_seconds=duration)


def trials_of(cases: list[tuple[Utterance, Detection]], threshold: float = 0.0) -> Trials:
    """Return recordings and detections as trials."""
    return Trials.of([u for u, _ in cases], [d for _, d in cases], threshold)


def test_breakdown_by_what_a_protocol_tells() -> None:
    """Language and codec come by themselves, another column when it is asked for; each value stands alone."""
    cases = [
        told("bonafide", 1.0, language="en", codec="opus", room="x"),
        told("spoof", -1.0, language="en", codec="gsm", room="y"),
        told("bonafide", -2.0, language="de", codec="gsm", room="x"),
        told("spoof", -1.0, language="de", codec="gsm", room="y"),
    ]
    found = evaluate(trials_of(cases), by=(*BREAKDOWNS, "room"))
    assert [breakdown.name for breakdown in found.breakdowns] == ["language", "codec", "room"]
    assert found.breakdown("language") == Breakdown(
        "language", (Part("de", 1, 1, Figure(1.0), 1.0, 0.0), Part("en", 1, 1, Figure(0.0), 0.0, 0.0)), 0.5
    )
    assert parts(found, "room") == (Part("x", 2, 0, None, 0.5, None), Part("y", 0, 2, None, None, 0.0))


def test_what_all_have_alike_or_nobody_tells_is_no_breakdown() -> None:
    """One language is no break-down by language, and a name that the data do not know is none either."""
    cases = [told("bonafide", 1.0, language="en"), told("spoof", -1.0, language="en")]
    assert evaluate(trials_of(cases), by=(*BREAKDOWNS, "unheard-of")).breakdowns == ()


def test_one_system_is_a_breakdown() -> None:
    """A single system is compared with all genuine recordings, whose own family is no part."""
    cases = [
        told("bonafide", 1.0, family="human"),
        told("spoof", -1.0, family="vocoder", system="A01"),
        told("spoof", 2.0, family="concatenation", system="A01"),
    ]
    found = evaluate(trials_of(cases))
    assert [part.name for part in parts(found, "system")] == ["A01"]
    assert parts(found, "family") == (
        Part("concatenation", 1, 1, Figure(1.0), 0.0, 1.0),
        Part("vocoder", 1, 1, Figure(0.0), 0.0, 0.0),
    )


def test_breakdown_by_duration() -> None:
    """Recordings fall into classes of duration, each from its lower limit on."""
    seconds = [0.5, 1.99, 2.0, 7.0, 10.0, 29.9, 30.0, 4000.0]
    cases = [told("bonafide" if i % 2 else "spoof", i / 10, duration=value) for i, value in enumerate(seconds)]
    found = parts(evaluate(trials_of(cases)), "duration")
    assert {part.name: part.n_bonafide + part.n_spoof for part in found} == {
        "under 2 s": 2,
        "2 to 5 s": 1,
        "5 to 10 s": 1,
        "10 to 30 s": 2,
        "30 s and more": 2,
    }


# --- intervals --------------------------------------------------------------------------------------------------


def many(seed: int, n_sources: int = 20, of_each: int = 5, shift: float = 0.0) -> list[tuple[Utterance, Detection]]:
    """Return recordings of sources that differ: each source has its own offset."""
    rng = np.random.default_rng(seed)
    cases = []
    for source in range(n_sources):
        offset = rng.normal()
        for label, mean in (("bonafide", 1.0), ("spoof", -1.0)):
            cases += [
                told(label, float(mean + shift + offset + rng.normal()), source=f"s{source}", system="A01" * (mean < 0))
                for _ in range(of_each)
            ]
    return cases


def test_intervals_hold_the_figure() -> None:
    """Whole sources are drawn; each interval lies around its figure; the same seed gives the same intervals."""
    trials = trials_of(many(1))
    found = evaluate(trials, n_resamples=200, seed=3)
    assert found.resampled_by == "source"
    assert evaluate(trials, n_resamples=200, seed=3) == found
    for name, figure in found.figures.items():
        assert figure.low is not None, name
        assert figure.high is not None, name
        assert figure.low <= figure.high, name
    for name in ("eer", "roc_auc", "cllr", "frr", "far", "balanced_accuracy"):
        figure = found.figures[name]
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < figure.value < figure.high
    (system,) = parts(found, "system")
    assert system.eer is not None
    assert system.eer == found.figures["eer"]


def test_intervals_are_those_of_what_is_known() -> None:
    """Too few sources: speakers are drawn; too few of these too: single trials."""
    cases = many(1, n_sources=4)
    assert evaluate(trials_of(cases), n_resamples=20).resampled_by == "trial"
    spoken = [(dataclasses.replace(u, speaker=f"p{i % 9}"), d) for i, (u, d) in enumerate(cases)]
    assert evaluate(trials_of(spoken), n_resamples=20).resampled_by == "speaker"
    assert evaluate(trials_of(cases)).resampled_by is None


def test_no_intervals_for_a_handful() -> None:
    """Parts with fewer than five recordings of a class have a rate without an interval."""
    cases = [*many(1), told("spoof", 0.0, source="s0", system="rare")]
    rare = next(part for part in parts(evaluate(trials_of(cases), n_resamples=20), "system") if part.name == "rare")
    assert rare.eer is not None
    assert rare.eer.low is None
    few = evaluate(trials_of([told("bonafide", 1.0), told("spoof", -1.0)] * 4), n_resamples=20)
    assert few.figures["eer"].low is None
    assert few.resampled_by is None


# --- several models ---------------------------------------------------------------------------------------------


def distinct(cases: list[tuple[Utterance, Detection]]) -> list[tuple[Utterance, Detection]]:
    """Give each recording a path of its own."""
    return [(dataclasses.replace(u, path=Path(f"{i}.wav"), utterance_id=str(i)), d) for i, (u, d) in enumerate(cases)]


def test_compare() -> None:
    """The second model shifts all scores up by 1: nobody is told apart better, and far more deepfakes pass."""
    cases = distinct(many(1))
    shifted = [(u, dataclasses.replace(d, llr_genuine=(d.llr_genuine or 0.0) + 1.0)) for u, d in cases]
    found = compare({"a": trials_of(cases), "b": trials_of(shifted)}, n_resamples=200)
    assert (found.n_bonafide, found.n_spoof) == (100, 100)
    first, second = found.models
    assert (first.name, second.name) == ("a", "b")
    assert first.differences == {}
    assert second.differences["eer"] == Figure(0.0, 0.0, 0.0)
    far = second.differences["far"]
    assert far.value == pytest.approx(second.figures["far"] - first.figures["far"])
    assert far.low is not None
    assert far.low > 0


def test_compare_each_at_its_own_threshold() -> None:
    """A shift of scores that the threshold shares is no difference."""
    cases = distinct(many(1))
    shifted = [(u, dataclasses.replace(d, llr_genuine=(d.llr_genuine or 0.0) + 1.0)) for u, d in cases]
    found = compare({"a": trials_of(cases), "b": trials_of(shifted, threshold=1.0)}, n_resamples=20)
    assert found.models[1].differences["far"] == Figure(0.0, 0.0, 0.0)
    assert compare({"a": trials_of(cases), "b": trials_of(shifted)}).models[1].differences["far"].low is None


def test_compare_on_what_all_have_scored() -> None:
    """A recording that one model could not score is left out for all; without a common one there is nothing."""
    cases = distinct(many(1))
    found = compare({"a": trials_of(cases[2:]), "b": trials_of(cases[:-3])})
    assert found.n_bonafide + found.n_spoof == len(cases) - 5
    with pytest.raises(DataError, match="no recording was scored by all of a, b"):
        compare({"a": trials_of(cases[:4]), "b": trials_of(cases[4:])})


# --- tandem detection cost --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FewAsvScores:
    """Speaker verification that accepts half of the spoof of A01, and none of A02."""

    target = np.array([2.0, 3.0, 4.0, 5.0])
    nontarget = np.array([-2.0, -3.0, -4.0, 2.5])
    spoof = np.array([3.0, -1.0, -5.0, -6.0])
    spoof_systems = np.array(["A01", "A01", "A02", "A02"])
    codecs = np.array([""] * 12)


def test_tandem_costs() -> None:
    """With ASV scores there are both forms of min t-DCF, each attack with the verification of its own spoof."""
    cases = [told("bonafide", x) for x in (-1.0, 1.0, 2.0, 3.0)]
    cases += [told("spoof", x, system="A01") for x in (-2.0, 1.5)] + [told("spoof", x, system="A02") for x in (-3, 2.5)]
    asv: Any = FewAsvScores()
    found = evaluate(trials_of(cases), asv=asv, n_resamples=20)
    b = [-1.0, 1.0, 2.0, 3.0]
    pooled = asv_rates(asv.target, asv.nontarget, asv.spoof)
    assert found.figures["min_tdcf"].value == min_tdcf(b, [-2.0, 1.5, -3, 2.5], pooled).value
    assert found.figures["min_tdcf_2019"].value == min_tdcf_2019(b, [-2.0, 1.5, -3, 2.5], pooled).value
    first, second = parts(found, "system")
    own = asv_rates(asv.target, asv.nontarget, asv.spoof[:2])
    assert first.min_tdcf == min_tdcf(b, [-2.0, 1.5], own).value
    assert first.min_tdcf_2019 == min_tdcf_2019(b, [-2.0, 1.5], own).value
    assert second.min_tdcf is None  # verification alone rejects all of A02, so that no cost is defined


def test_a_class_in_one_source() -> None:
    """Draws without spoof are drawn anew; a mean over sources that does not exist is no figure."""
    cases = [told("bonafide", float(i % 3), source=f"s{i}") for i in range(60)]
    cases += [told("spoof", -1.0 + i, source="s0") for i in range(6)]
    found = evaluate(trials_of(cases), n_resamples=100)
    assert found.figures["eer"].low is not None
    assert found.figures["macro_eer"].low is not None
    lone = [(dataclasses.replace(u, source="lone" if u.system else u.source), d) for u, d in many(1, of_each=1)]
    assert "macro_eer" not in evaluate(trials_of(lone), n_resamples=20).figures
