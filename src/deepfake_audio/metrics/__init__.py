"""
How well scores tell bona fide from spoofed speech. Pure functions of arrays.

Conventions, the same in every function:

- Scores are higher for bona fide speech, natural log-likelihood ratios where their size matters. No function flips a
  sign or takes the better of two answers.
- A trial is accepted as bona fide when ``score >= threshold``, otherwise rejected.
- FRR, the false rejection rate, is the share of bona fide trials rejected (genuine speech called deepfake); FAR, the
  false acceptance rate, is the share of spoofed trials accepted (deepfakes called genuine).
- Rates are fractions in [0, 1], Cllr is in bits, t-DCF and DCF are normalised: 0 is perfect, and 1 is what the better
  of accepting all and rejecting all costs.
- What does not exist (one class only, NaN) is a ``MetricError`` that says why, never a number.

Figures, with their formulas and sources at each function:

- ``eer``, ``mean_eer``        equal error rate by the rule of the ASVspoof packages, pooled and as a mean over sources
- ``eer_hull``                 equal error rate on the convex hull of the ROC curve
- ``det_curve``                FRR and FAR at every threshold, for DET and ROC plots
- ``roc_auc``, ``average_precision``, ``precision_recall_curve``, ``decisions``
                               from scikit-learn; spoof or bona fide may be the positive class
- ``min_tdcf_2019``, ``min_tdcf``, ``asv_rates``
                               tandem detection cost of ASVspoof 2019 (legacy), and of 2021 and 5 (ASV-constrained)
- ``min_dcf``, ``act_dcf``     detection cost of ASVspoof 5, track 1, at the best and at the Bayes threshold
- ``cllr``, ``min_cllr``       cost of log-likelihood ratios, as they are and after the best recalibration
- ``calibration_error``        expected calibration error of probabilities
- ``bootstrap``, ``paired_bootstrap``
                               intervals of these, by the figures in ``metrics.measures``

Where official packages disagree, or give no answer:

- Equal error rate under ties. The packages of ASVspoof 2019, 2021 and 5 and of AASIST agree: they walk through the
  sorted trials one by one, bona fide first inside a tie. ``eer`` does that. So scores that are all equal have 100 %;
  packages that keep ties together and interpolate, or take the hull, say 50 %. ``eer_hull`` is the latter (BOSARIS);
  with few trials it can lie above ``eer`` as well as below. Interpolation without hull is not offered.
- Thresholds. ``eer``, ``min_tdcf``, ``min_tdcf_2019`` and ``min_dcf`` give the packages' threshold: the highest score
  that is rejected, or the lowest score less 0.001 where none is. Applied as ``score >= threshold`` it accepts that
  trial too, so that ``decisions`` there differs by the trials of that score. ``det_curve`` and
  ``precision_recall_curve`` give thresholds that can be applied.
- "min t-DCF" without a year is two figures. AASIST-L's scores of ASVspoof 2019 LA have 0.0308 in the form of 2019,
  0.0916 in that of 2021 with the same ASV scores, and 0.1151 with the ASV rates built into the package of ASVspoof 5.
- The t-DCF of hard decisions, or of fewer than three distinct scores, makes the packages exit, to warn of decisions
  that were given instead of scores. It is a minimum over few thresholds but well defined, so it is given here.
- A t-DCF with a speaker verification system so poor that C1 or C2 is not positive is an error here and there.
- Cllr. The package of ASVspoof 5 and ``lir`` give infinity from a ratio of about 709 on; here it stays finite.
- Min Cllr. BOSARIS adds a slope of 1e-6 to its calibration and comes out up to 2e-7 higher than PYLLR,
  ``lir`` and this.
- A precision that no trial decides is 0. The calibration error is defined by no ASVspoof package.
"""

from deepfake_audio.metrics import measures
from deepfake_audio.metrics.calibration import calibration_error, cllr, min_cllr
from deepfake_audio.metrics.costs import (
    ASVSPOOF5_ASV,
    AsvRates,
    MinCost,
    Tdcf2019Costs,
    TdcfCosts,
    act_dcf,
    asv_rates,
    bayes_threshold,
    min_dcf,
    min_tdcf,
    min_tdcf_2019,
)
from deepfake_audio.metrics.hard_decisions import ClassFigures, Decisions, decisions
from deepfake_audio.metrics.intervals import Difference, Interval, bootstrap, measured, paired_bootstrap
from deepfake_audio.metrics.ranking import (
    Curve,
    EqualErrorRate,
    Positive,
    PrecisionRecallCurve,
    average_precision,
    det_curve,
    eer,
    eer_hull,
    mean_eer,
    precision_recall_curve,
    roc_auc,
)
from deepfake_audio.metrics.trials import Draw, Figure, Measure, Trials

__all__ = [
    "ASVSPOOF5_ASV",
    "AsvRates",
    "ClassFigures",
    "Curve",
    "Decisions",
    "Difference",
    "Draw",
    "EqualErrorRate",
    "Figure",
    "Interval",
    "Measure",
    "MinCost",
    "Positive",
    "PrecisionRecallCurve",
    "Tdcf2019Costs",
    "TdcfCosts",
    "Trials",
    "act_dcf",
    "asv_rates",
    "average_precision",
    "bayes_threshold",
    "bootstrap",
    "calibration_error",
    "cllr",
    "decisions",
    "det_curve",
    "eer",
    "eer_hull",
    "mean_eer",
    "measured",
    "measures",
    "min_cllr",
    "min_dcf",
    "min_tdcf",
    "min_tdcf_2019",
    "paired_bootstrap",
    "precision_recall_curve",
    "roc_auc",
]
