"""
The stages of a model's graph: what a person would draw as one box.

A stage is a kind of features, a convolution with the activation and the pooling that follow it, a kernel, a sum. Which
operators make it up is told by the names that ``assembly`` gives to the parts of a graph, by the kinds of features that
the recipe names, and by how the tensors flow. A recipe is believed only where the shapes in the graph agree with it; of
a graph of another make less is told, and nothing made up.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from deepfake_audio.errors import DataError
from deepfake_audio.features import feature_shape
from deepfake_audio.features.spec import PHASE_MEASURES, bins
from deepfake_audio.inspection.operators import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from deepfake_audio.features import FeatureSpec
    from deepfake_audio.inspection.operators import Operator, Shape

_MEMBER = re.compile(r"member(\d{1,6})/(?:(frontend)/|classifier(\d{1,6})/)?")
_PRODUCTS = ("Gemm", "MatMul")
_POOLINGS = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMax", "ReduceMean", "ReduceSum")
# Shape of a batch of vectors; what has more axes is a picture or a sequence.
_VECTORS = 2


@dataclass(frozen=True)
class Part:
    """
    A part of a model's graph.

    Attributes:
        kind: ``front end``, ``classifier``, ``score`` (what joins these) or, in a graph of another make, ``graph``.
        member: Of which member of the model, from 1; None where it is of all.
        classifier: Which of the member's classifiers, from 1; None where it is none.
    """

    kind: str
    member: int | None = None
    classifier: int | None = None


@dataclass(frozen=True)
class Stage:
    """
    Operators that belong together.

    Attributes:
        part: Where they are.
        kind: ``shared``, ``features``, ``input``, ``convolution``, ``pooling``, ``concatenation``, ``dense``,
            ``kernel``, ``machine``, ``score`` or ``graph``.
        name: A short one, unlike those of the other stages of its part.
        words: What it does.
        output: The shape of what it gives last for one window, without the axis of windows; None if it is not known,
            or of no meaning.
        n_operators: Those that only prepare its constants included.
        n_parameters: Floating-point numbers of the file.
        macs: Multiply-accumulates per window; None if they cannot be told.
        reads: Which stages it reads, by their place; what reads nothing but the waveform has none.
    """

    part: Part
    kind: str
    name: str
    words: str
    output: Shape | None
    n_operators: int
    n_parameters: int
    macs: int | None
    reads: tuple[int, ...]


@dataclass
class _Group:
    """A stage in the making: its operators, by their places, but not yet those that prepare its constants."""

    part: Part
    kind: str
    name: str
    words: str
    own: list[int]


def parts(operators: Sequence[Operator]) -> list[Part]:
    """Return in which part of the graph each operator is, by the names of the tensors that it gives."""
    matches = [_MEMBER.match(operator.outputs[0]) if operator.outputs else None for operator in operators]
    rest = Part("score") if any(matches) else Part("graph")
    return [rest if match is None else _part(*match.groups()) for match in matches]


def _part(member: str, front_end: str | None, classifier: str | None) -> Part:
    if front_end:
        return Part("front end", int(member) + 1)
    return Part("score") if classifier is None else Part("classifier", int(member) + 1, int(classifier) + 1)


def stages(operators: Sequence[Operator], specs: Mapping[int, Sequence[FeatureSpec]], window: int) -> list[Stage]:
    """
    Return the stages of a graph, in its order.

    Args:
        operators: Of the graph, in its order.
        specs: The front end of each member, from 1, as the recipe has it.
        window: Length of a window in samples.
    """
    flow = _Flow(operators)
    places: dict[Part, list[int]] = {}
    for place, part in enumerate(parts(operators)):
        if not operators[place].is_constant:
            places.setdefault(part, []).append(place)
    groups: list[_Group] = []
    believed: dict[int | None, Sequence[FeatureSpec]] = {}
    for part, own in sorted(places.items(), key=lambda item: item[0].kind == "score"):
        if part.kind == "front end":
            kinds = specs.get(part.member or 0, ())
            front_end = _front_end(flow, part, own, kinds, window)
            believed[part.member] = kinds if front_end else ()
            groups += front_end or [_Group(part, "features", "features", "", own)]
        elif part.kind == "classifier":
            groups += _classifier(flow, part, own, believed.get(part.member, ()))
        else:
            words = _joined(places) if part.kind == "score" else ""
            groups.append(_Group(part, part.kind, part.kind, words, own))
    return _finished(flow, groups)


def alike(found: Iterable[Stage]) -> dict[Part, list[Part]]:
    """
    Return the parts of a graph, each with those of its member that are built as it is, such as networks of one make.

    Args:
        found: The stages of the graph.
    """
    plans: dict[Part, list[tuple[object, ...]]] = {}
    for stage in found:
        plan = (stage.kind, stage.name, stage.words, stage.output, stage.n_parameters, stage.macs)
        plans.setdefault(stage.part, []).append(plan)
    groups: dict[Part, list[Part]] = {}
    firsts: dict[tuple[object, ...], Part] = {}
    for part, plans_of_part in plans.items():
        first = firsts.setdefault((part.kind, part.member, *plans_of_part), part)
        groups.setdefault(first, []).append(part)
    return groups


def _joined(parts: Iterable[Part]) -> str:
    """Return in words what makes one score of several, as ``assembly`` does it."""
    classifiers = Counter(part.member for part in parts if part.kind == "classifier")
    if len(classifiers) > 1:
        return f"weighted sum of {len(classifiers)} members"
    return f"mean of {n} classifiers" if (n := classifiers.total()) > 1 else "of one classifier"


class _Flow:
    """Which operator reads which."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self.operators = operators
        self._makers = {name: place for place, operator in enumerate(operators) for name in operator.outputs}

    def sources(self, place: int) -> list[int]:
        """Return the places of those that an operator reads, of the ones that depend on the signal."""
        return [maker for maker in self.makers(place) if not self.operators[maker].is_constant]

    def makers(self, place: int) -> list[int]:
        """Return the places of all that an operator reads; in a valid graph they stand before it."""
        made = (self._makers.get(name, place) for name in self.operators[place].inputs)
        return [maker for maker in made if maker < place]

    def ordered(self, own: Sequence[int]) -> list[int]:
        """
        Return places in an order that depends on the flow alone: each after those that it reads, first inputs first.

        Converters write the operators of two networks of one make in different orders.
        """
        inside = set(own)
        found: dict[int, None] = {}
        waiting = [place for place in reversed(own) if not self.readers[place] & inside]
        while waiting:
            place = waiting[-1]
            missing = [source for source in self.sources(place) if source in inside and source not in found]
            if missing:
                waiting += reversed(missing)
            else:
                found.setdefault(waiting.pop())
        return list(found)

    @cached_property
    def readers(self) -> list[set[int]]:
        """The places of those that read each operator."""
        found: list[set[int]] = [set() for _ in self.operators]
        for place in range(len(self.operators)):
            for maker in self.makers(place):
                found[maker].add(place)
        return found

    @cached_property
    def before_convolution(self) -> set[int]:
        """The operators that some convolution depends on."""
        found: set[int] = set()
        for place in reversed(range(len(self.operators))):
            if place in found or self.operators[place].kind == "Conv":
                found.update(self.sources(place))
        return found


def _finished(flow: _Flow, groups: Sequence[_Group]) -> list[Stage]:
    """Add what prepares constants to the first that reads it, and sum up."""
    operators = flow.operators
    owner = {place: number for number, group in enumerate(groups) for place in group.own}
    read_outside = {len(operators) - 1}
    for place in reversed(range(len(operators))):
        for maker in flow.makers(place):
            if operators[maker].is_constant and place in owner:
                owner[maker] = owner[place]
            elif owner.get(maker) != owner.get(place):
                read_outside.add(maker)
    belonging: dict[int, list[int]] = {number: [] for number in range(len(groups))}
    for place, number in sorted(owner.items()):
        belonging[number].append(place)
    found = []
    for number, group in enumerate(groups):
        last = [group.own[-1], *(place for place in group.own if place in read_outside)][-1]
        costs = [operators[place].macs for place in group.own]
        found.append(
            Stage(
                group.part,
                group.kind,
                group.name,
                group.words,
                None if group.kind == "shared" else _of_window(operators[last]),
                len(belonging[number]),
                sum(operators[place].n_parameters for place in belonging[number]),
                None if None in costs else sum(cost or 0 for cost in costs),
                tuple(sorted({owner[s] for place in group.own for s in flow.sources(place)} - {number})),
            )
        )
    return found


def _of_window(operator: Operator) -> Shape | None:
    shape = operator.output_shapes[0] if operator.output_shapes else None
    return shape[1:] if shape else None


def _numbered(names: Iterable[str]) -> list[str]:
    """Return names with a number behind each that is there more than once."""
    names = list(names)
    total, seen = Counter(names), Counter[str]()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name} {seen[name]}" if total[name] > 1 else name)
    return found


# --- front ends ------------------------------------------------------------------------------------------------


def _front_end(flow: _Flow, part: Part, own: list[int], specs: Sequence[FeatureSpec], window: int) -> list[_Group]:
    """
    Group by kinds of features: what only one needs, what several share, and what puts them end to end.

    Returns:
        The groups; none if the graph is not what the recipe says.
    """
    ends = _ends(flow, own, specs, window)
    needed_by: dict[int, set[int]] = {place: set() for place in own}
    for number, end in enumerate(ends):
        _mark(flow, end, number, needed_by)
    if not ends or any(needed_by[end] != {number} for number, end in enumerate(ends)):
        return []  # one kind is made of another, which none of ours is
    shared = [place for place in own if len(needed_by[place]) > 1]
    groups = [_Group(part, "shared", "shared", "level and spectra that several kinds share", shared)] if shared else []
    for number, (name, spec) in enumerate(zip(_numbered(spec.kind for spec in specs), specs, strict=True)):
        places = [place for place in own if needed_by[place] == {number}]
        sums = f"{summed(spec)} over the frames" if spec.statistics else ""
        words = "; ".join(filter(None, (described(spec), framed(spec), sums)))
        groups.append(_Group(part, "features", name, words, places))
    joining = [place for place in own if not needed_by[place]]
    if len(ends) == 1:
        groups[-1].own += joining
    else:
        groups.append(_Group(part, "concatenation", "together", f"{len(ends)} kinds end to end", joining))
    return groups


def _ends(flow: _Flow, own: list[int], specs: Sequence[FeatureSpec], window: int) -> list[int]:
    """Return which operators give the kinds of features; none if the graph is not what the recipe says."""
    last = own[-1]
    while flow.operators[last].kind == "Identity" and flow.sources(last):
        last = flow.sources(last)[0]
    ends = [last] if len(specs) == 1 else flow.sources(last)
    if len(ends) != len(specs) or len(set(ends)) != len(ends) or not set(own).issuperset(ends):
        return []
    try:
        expected = [feature_shape(spec, window) for spec in specs]
    except DataError:
        return []
    return ends if [_of_window(flow.operators[end]) for end in ends] == expected else []


def _mark(flow: _Flow, end: int, number: int, needed_by: dict[int, set[int]]) -> None:
    """Add a number to all that an operator depends on, itself included."""
    waiting = [end]
    while waiting:
        place = waiting.pop()
        if place in needed_by and number not in needed_by[place]:
            needed_by[place].add(number)
            waiting += flow.sources(place)


def described(spec: FeatureSpec) -> str:
    """
    Return what a kind of features is, in words; see `framed` and `summed` for the rest.

    Examples:
        >>> from deepfake_audio.features import FeatureSpec
        >>> described(FeatureSpec("lfcc", n_bands=40, deltas=1))
        'linear-frequency cepstrum, 20 coefficients of 40 bands, with first differences'
    """
    differences = ("", ", with first differences", ", with first and second differences")[spec.deltas]
    limits = "" if (spec.f_min, 2 * spec.f_max) == (0, spec.sample_rate) else f", {spec.f_min:g} to {spec.f_max:g} Hz"
    level = "" if spec.normalise_level else ", at the level of the recording"
    return _DESCRIPTIONS[spec.kind](spec) + limits + differences + level


def framed(spec: FeatureSpec) -> str:
    """
    Return how a kind of features cuts the signal into frames, in words.

    Examples:
        >>> from deepfake_audio.features import FeatureSpec
        >>> framed(FeatureSpec("mel", n_fft=1024))
        'FFT 1,024, window 400 (25 ms), hop 160 (10 ms)'
    """
    lengths = (("window", spec.window_length), ("hop", spec.hop_length))
    words = [f"{name} {n:,} ({1000 * n / spec.sample_rate:.3g} ms)" for name, n in lengths]
    return ", ".join([f"FFT {spec.n_fft:,}", *words])


def summed(spec: FeatureSpec) -> str:
    """Return how a kind of features sums the frames up, in words; an empty text if it keeps them."""
    return ", ".join(spec.statistics)


_DESCRIPTIONS: dict[str, Callable[[FeatureSpec], str]] = {
    "mel": lambda spec: f"mel spectrogram, {spec.n_bands} bands",
    "linear": lambda spec: f"power spectrogram, {len(bins(spec)):,} bins",
    "mfcc": lambda spec: f"mel-frequency cepstrum, {spec.n_coefficients} coefficients of {spec.n_bands} bands",
    "lfcc": lambda spec: f"linear-frequency cepstrum, {spec.n_coefficients} coefficients of {spec.n_bands} bands",
    "fine": lambda spec: f"power spectrogram without its envelope, {len(bins(spec)):,} bins",
    "cepstrum": lambda spec: f"cepstrum of all bins, {spec.n_coefficients} coefficients in {spec.n_bands} groups",
    "flatness": lambda spec: f"flatness of {spec.n_bands} mel bands",
    "phase": lambda spec: f"regularity of the phase, {PHASE_MEASURES} measures of {spec.n_bands} bands",
    "modulation": lambda spec: f"modulation spectrum of {spec.n_bands} bands",
    "correlation": lambda spec: f"correlation of {spec.n_bands} bands, each with each {spec.lag} frames before",
}


# --- classifiers -----------------------------------------------------------------------------------------------


def _classifier(flow: _Flow, part: Part, own: list[int], specs: Sequence[FeatureSpec]) -> list[_Group]:
    """Group what follows each convolution, product or slice of the features, up to the next."""
    operators = [flow.operators[place].kind for place in own]
    begins = _begins_kernel if "Slice" in operators and "Conv" not in operators else _begins_layer
    kinds: list[str] = []
    label: dict[int, int] = {}
    own = flow.ordered(own)
    for place in own:
        before = {label[source] for source in flow.sources(place) if source in label}
        if kind := begins(flow, place) or ("" if before else "input"):
            kinds.append(kind)
            label[place] = len(kinds) - 1
        else:
            label[place] = max(before)
    names = _numbered(kinds)
    if kinds.count("kernel") == len(specs):
        own_names = iter(_numbered(spec.kind for spec in specs))
        names = [
            f"kernel of {next(own_names)}" if kind == "kernel" else name
            for kind, name in zip(kinds, names, strict=True)
        ]
    groups = [_Group(part, kind, name, "", []) for kind, name in zip(kinds, names, strict=True)]
    for place in own:
        groups[label[place]].own.append(place)
    for group in groups:
        words = {"kernel": _kernel_words, "machine": _machine_words}.get(group.kind, _layer_words)
        group.words = words(flow, group.own)
    return groups


def _begins_kernel(flow: _Flow, place: int) -> str:
    """Return what an operator of a kernel machine begins, if anything."""
    return {"Slice": "kernel", "Mean": "machine"}.get(flow.operators[place].kind, "")


def _begins_layer(flow: _Flow, place: int) -> str:
    """Return what an operator of a network begins, if anything."""
    if _squares_for_pooling(flow, place):
        return "pooling"
    if _pools(flow, place):
        return "" if any(_squares_for_pooling(flow, source) for source in flow.sources(place)) else "pooling"
    return _LAYERS.get(flow.operators[place].kind, "")


def _pools(flow: _Flow, place: int) -> bool:
    """Return whether an operator sums up pictures, or sequences, of which no convolution makes more."""
    operator = flow.operators[place]
    shape = operator.input_shapes[0] if operator.kind in _POOLINGS else None
    return shape is not None and len(shape) > _VECTORS and place not in flow.before_convolution


def _squares_for_pooling(flow: _Flow, place: int) -> bool:
    """Return whether an operator gives the power that is summed up next, and nothing else reads it."""
    operator, readers = flow.operators[place], flow.readers[place]
    is_square = operator.kind == "Mul" and operator.inputs[:1] == operator.inputs[1:]
    return is_square and bool(readers) and all(_pools(flow, reader) for reader in readers)


def _kernel_words(flow: _Flow, own: Sequence[int]) -> str:
    """Return what a kernel of the backend `svm` does."""
    operators = [flow.operators[place] for place in own]
    sizes = [size(_of_window(operator)) for operator in operators if operator.kind in ("Slice", *_PRODUCTS)]
    names = ("features", "components", "landmarks")
    kernel = "radial kernel" if any(operator.kind == "Exp" for operator in operators) else "linear kernel"
    known = [f"{n:,} {name}" for n, name in zip(sizes, names, strict=False) if n is not None]
    return f"{kernel}; {', '.join(known)}"


def _machine_words(flow: _Flow, own: Sequence[int]) -> str:
    """Return what the backend `svm` does with the values of its kernels."""
    operators = [flow.operators[place] for place in own]
    n_kernels = len(operators[0].inputs)
    words = [f"mean of {n_kernels} kernels" if n_kernels > 1 else "the kernel", "weighted sum over landmarks"]
    knows = any(name.endswith("/familiarity") for operator in operators for name in operator.outputs)
    return "; ".join(words + ["familiarity"] * knows)


def _layer_words(flow: _Flow, own: Sequence[int]) -> str:
    """Return what the operators of a layer do, one after the other."""
    words: list[str] = []
    for place in own:
        operator = flow.operators[place]
        word = _WORDS.get(operator.kind, _named(""))(operator, len(set(flow.sources(place))))
        if word and word not in words[-1:]:
            words.append(word)
    return ", ".join(words)


def _either(with_constant: str, otherwise: str) -> Callable[[Operator, int], str]:
    return lambda _operator, n_sources: otherwise if n_sources > 1 else with_constant


def _named(word: str) -> Callable[[Operator, int], str]:
    return lambda _operator, _n_sources: word


def _convolution(operator: Operator, _n_sources: int) -> str:
    weights = operator.input_shapes[1] if len(operator.input_shapes) > 1 else None
    if not weights:
        return "filters"
    groups = operator.attributes.get("group", 1)
    words = [f"{weights[0]} filters of {_times(weights[2:])}", *_strides(operator)]
    return ", ".join(words + [f"{groups} groups"] * (groups != 1))


def _pooling(word: str) -> Callable[[Operator, int], str]:
    return lambda operator, _n_sources: f"{word} {_times(operator.attributes.get('kernel_shape', ()))}"


def _strides(operator: Operator) -> list[str]:
    strides = operator.attributes.get("strides", ())
    return [f"stride {_times(strides)}"] if isinstance(strides, tuple) and set(strides) - {1} else []


def _times(lengths: object) -> str:
    return "x".join("?" if length is None else str(length) for length in lengths) if isinstance(lengths, tuple) else "?"


_LAYERS = {"Conv": "convolution", "Concat": "concatenation", "Gemm": "dense", "MatMul": "dense"}


def _multiplied(operator: Operator, n_sources: int) -> str:
    is_square = operator.inputs[:1] == operator.inputs[1:]
    return "square" if is_square else _either("scale", "product")(operator, n_sources)


def _product(operator: Operator, _n_sources: int) -> str:
    shapes = (operator.input_shapes[0], operator.output_shapes[0])
    lengths = [shape[-1] if shape else None for shape in shapes]
    return " to ".join("?" if length is None else f"{length:,}" for length in lengths)


_WORDS: dict[str, Callable[[Operator, int], str]] = {
    "Conv": _convolution,
    "Gemm": _product,
    "MatMul": _product,
    "MaxPool": _pooling("max pooling"),
    "AveragePool": _pooling("average pooling"),
    "GlobalAveragePool": _named("global average pooling"),
    "GlobalMaxPool": _named("global max pooling"),
    "ReduceMean": _named("mean"),
    "ReduceSum": _named("sum"),
    "ReduceMax": _named("maximum"),
    "Mul": _multiplied,
    "Add": _either("offset", "sum"),
    "Sub": _either("offset", "difference"),
    "Div": _either("scale", "quotient"),
    "Max": _either("limit", "maximum"),
    "Min": _either("limit", "minimum"),
    "Clip": _named("limits"),
    "Relu": _named("ReLU"),
    "LeakyRelu": _named("leaky ReLU"),
    "Sigmoid": _named("sigmoid"),
    "Tanh": _named("tanh"),
    "Softmax": _named("softmax"),
    "Exp": _named("exponential"),
    "Log": _named("logarithm"),
    "Sqrt": _named("root"),
}
