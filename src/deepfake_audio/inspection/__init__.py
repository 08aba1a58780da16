"""
What a model file holds, told without running it.

    model file -> operators of its graph -> stages -> Inspection

- ``inspect_model``  all of it
- ``operators``      the nodes of an ONNX graph with their shapes, parameters and costs
- ``stages``         what a person would draw as one box: a kind of features, a convolution and what follows it, a sum
- ``measured``       how fast a model is on this machine, which alone runs it

The file may be anything that ``modelfile.read_model`` lets through, and its recipe anything that JSON can hold: what
cannot be made sense of is left out, not guessed.
"""

from deepfake_audio.inspection.core import Inspection, Kind, Speed, inspect_model, measured
from deepfake_audio.inspection.operators import Operator, Shape, operators
from deepfake_audio.inspection.stages import Part, Stage, alike, described, framed, stages, summed

__all__ = [
    "Inspection",
    "Kind",
    "Operator",
    "Part",
    "Shape",
    "Speed",
    "Stage",
    "alike",
    "described",
    "framed",
    "inspect_model",
    "measured",
    "operators",
    "stages",
    "summed",
]
