"""Questions about a scene with their one correct answer, in English and Chinese.

Only facts and wording; nothing is drawn or tokenised here. Each kind of question has
one form of answer, so that answers are easy to check and a small model need not learn
style.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from training.chinese import CHINESE
from training.english import ENGLISH
from training.phrases import Phrases
from training.scenes import (
    CLEARLY_BIGGER,
    COLOURS,
    SHAPES,
    Kind,
    Scene,
    Shapes,
    Writing,
)

Language = Literal["en", "zh"]
PHRASES: Final[dict[Language, Phrases]] = {"en": ENGLISH, "zh": CHINESE}


@dataclass(frozen=True)
class Question:
    kind: str  # as counted in the evaluation
    language: Language
    text: str
    answer: str


WEIGHTS: Final = {"describe": 1.5, "count": 1.5, "read": 3.0, "absent": 0.4}


def ask(
    rng: Random,
    scene: Scene,
    n: int,
    language: Language,
    by_kind: Mapping[str, float] = WEIGHTS,
) -> list[Question]:
    """Up to `n` different questions about `scene`, in a random order; those of a kind
    with a larger weight are more likely."""
    offers = list(_offers(rng, scene, PHRASES[language]))
    weights = [by_kind.get(kind, 1.0) for kind, _, _ in offers]
    asked: list[Question] = []
    while offers and len(asked) < n:
        (at,) = rng.choices(range(len(offers)), weights)
        kind, text, answer = offers.pop(at)
        weights.pop(at)
        asked.append(Question(kind, language, text, answer))
    return asked


Offer = tuple[str, str, str]


def _offers(rng: Random, scene: Scene, say: Phrases) -> Iterator[Offer]:
    if isinstance(scene, Shapes):
        return _about_shapes(rng, scene, say)
    if isinstance(scene, Writing):
        return _about_writing(rng, scene, say)
    return _about_nothing(rng, say)


def _about_shapes(rng: Random, scene: Shapes, say: Phrases) -> Iterator[Offer]:
    pick = rng.choice
    things, kinds = scene.objects, scene.kinds
    yield "describe", pick(say.describe), description(scene, say)

    yield "count", pick(say.how_many), say.there_are(len(things), None, None)
    for kind in rng.sample(kinds, min(2, len(kinds))):
        yield _count_of(rng, scene, say, kind)
    yield _count_of(rng, scene, say, Kind(pick(COLOURS), pick(SHAPES)))

    asked = pick([pick(kinds), Kind(pick(COLOURS), pick(SHAPES))])
    name = say.name(asked)
    yield "yes or no", pick(say.is_there).format(it=name), say.yes_no(asked in kinds)

    if len(things) == 1:
        (kind,) = kinds
        yield "shape", pick(say.which_shape), say.a_shape(kind.shape)
        yield "colour", pick(say.which_colour), say.is_colour(kind.colour)
        yield "shape and colour", pick(say.which_kind), say.a(kind)
        yield "where", pick(say.where_is_it), say.at(things[0].place)
    for thing in things:
        kind = thing.kind
        if len(things) == 1 or [k.shape for k in kinds].count(kind.shape) == 1:
            the_shape = say.the(None, kind.shape)
            question = pick(say.which_colour_is).format(it=the_shape)
            yield "colour", question, say.is_colour(kind.colour)
        if [k.colour for k in kinds].count(kind.colour) == 1 and len(kinds) > 1:
            question = pick(say.which_shape_is).format(it=say.the(kind.colour, None))
            yield "shape", question, say.a_shape(kind.shape)
        if scene.placed:
            question = pick(say.where_is).format(it=say.the(kind.colour, kind.shape))
            yield "where", question, say.at(thing.place)
            if [t.place for t in things].count(thing.place) == 1:
                question = pick(say.what_is_at).format(at=say.place(thing.place))
                yield "what is where", question, say.a(kind)
    if len(things) == 2 and len(kinds) == 2:
        small, big = sorted(things, key=lambda thing: thing.radius)
        if big.radius >= CLEARLY_BIGGER * small.radius:
            yield "compare", pick(say.bigger), say.that(big.kind)
            yield "compare", pick(say.smaller), say.that(small.kind)
    yield "absent", pick(say.read + say.read_number), say.no_writing


def _count_of(rng: Random, scene: Shapes, say: Phrases, kind: Kind) -> Offer:
    """How many circles, how many red ones, or how many red circles."""
    colour, shape = rng.choice(
        [(kind.colour, None), (None, kind.shape), (kind.colour, kind.shape)]
    )
    n = sum(
        (colour is None or thing.kind.colour == colour)
        and (shape is None or thing.kind.shape == shape)
        for thing in scene.objects
    )
    question = rng.choice(say.how_many_of).format(them=say.many(colour, shape))
    return "count", question, say.there_are(n, colour, shape)


def absent_kind(rng: Random, scene: Shapes) -> Kind:
    """A kind that `scene` does not have, but often its colour or its shape, or both in
    different objects."""
    while True:
        first, second = rng.choice(scene.kinds), rng.choice(scene.kinds)
        colour = first.colour if rng.random() < 0.65 else rng.choice(COLOURS)
        shape = second.shape if rng.random() < 0.65 else rng.choice(SHAPES)
        if (kind := Kind(colour, shape)) not in scene.kinds:
            return kind


def narrow_miss(rng: Random, scene: Shapes, language: Language) -> Question:
    """Whether something is there, with an answer that needs shape and colour at once:
    harder than the questions that `ask` draws."""
    say = PHRASES[language]
    there = rng.random() < 0.5
    kind = rng.choice(scene.kinds) if there else absent_kind(rng, scene)
    text = rng.choice(say.is_there).format(it=say.name(kind))
    return Question("yes or no", language, text, say.yes_no(there))


def description(scene: Shapes, say: Phrases) -> str:
    if scene.placed:
        by_x = sorted(scene.objects, key=lambda thing: thing.x)
        return say.picture_of([say.placed(t.kind, t.place) for t in by_x])
    return say.picture_of([say.counted(scene.count(k), k) for k in scene.kinds])


def _about_writing(rng: Random, scene: Writing, say: Phrases) -> Iterator[Offer]:
    pick = rng.choice
    text = scene.text
    if scene.is_number:
        yield "number", pick(say.read_number + say.read), text
        yield "describe", pick(say.describe), say.picture_of_number.format(text)
    else:
        yield "read", pick(say.read), text
        yield "describe", pick(say.describe), say.picture_of_text.format(text)
    question = pick(say.which_colour_is).format(it=pick(say.the_writing))
    yield "colour", question, say.is_colour(scene.colour)
    yield "absent", pick(say.how_many + say.which_shape), say.no_shapes


def _about_nothing(rng: Random, say: Phrases) -> Iterator[Offer]:
    pick = rng.choice
    name = say.the(pick(COLOURS), pick(SHAPES))
    questions: list[str] = [
        pick(say.describe),
        pick(say.describe),
        pick(say.which_shape),
        pick(say.which_kind),
        pick(say.how_many),
        pick(say.read),
        pick(say.where_is).format(it=name),
        pick(say.anything),
        pick(say.anything),
    ]
    for question in dict.fromkeys(questions):
        yield "none of this", question, say.honest


def small_talk(rng: Random, language: Language) -> Question:
    """A question without a picture."""
    say = PHRASES[language]
    return Question("none of this", language, rng.choice(say.anything), say.honest)
