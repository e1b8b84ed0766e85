"""English questions, and the model's English answers."""

from __future__ import annotations

from typing import Final

from training.phrases import Phrases
from training.scenes import Kind

AT: Final = {
    "top left": "at the top left",
    "top": "at the top",
    "top right": "at the top right",
    "left": "on the left",
    "middle": "in the middle",
    "right": "on the right",
    "bottom left": "at the bottom left",
    "bottom": "at the bottom",
    "bottom right": "at the bottom right",
}


class English(Phrases):
    def name(self, kind: Kind) -> str:
        return f"{_article(kind.colour)} {kind.colour} {kind.shape}"

    def a(self, kind: Kind) -> str:
        return _sentence(self.name(kind))

    def a_shape(self, shape: str) -> str:
        return f"A {shape}."

    def is_colour(self, colour: str) -> str:
        return f"{colour.capitalize()}."

    def the(self, colour: str | None, shape: str | None) -> str:
        if shape is None:
            return f"the {colour} one"
        return f"the {colour} {shape}" if colour else f"the {shape}"

    def that(self, kind: Kind) -> str:
        return _sentence(self.the(kind.colour, kind.shape))

    def many(self, colour: str | None, shape: str | None) -> str:
        things = PLURALS[shape] if shape else "shapes"
        return f"{colour} {things}" if colour else things

    def there_are(self, n: int, colour: str | None, shape: str | None) -> str:
        if n == 0:
            return f"There are no {self.many(colour, shape)}."
        if n == 1:
            thing = shape or "shape"
            return f"There is 1 {colour} {thing}." if colour else f"There is 1 {thing}."
        return f"There are {n} {self.many(colour, shape)}."

    def yes_no(self, yes: bool) -> str:
        return "Yes." if yes else "No."

    def place(self, place: str) -> str:
        return AT[place]

    def at(self, place: str) -> str:
        return _sentence(AT[place])

    def placed(self, kind: Kind, place: str) -> str:
        return f"{self.name(kind)} {AT[place]}"

    def counted(self, n: int, kind: Kind) -> str:
        if n == 1:
            return f"1 {kind.colour} {kind.shape}"
        return f"{n} {kind.colour} {PLURALS[kind.shape]}"

    def picture_of(self, parts: list[str]) -> str:
        *first, last = parts
        listed = f"{', '.join(first)} and {last}" if first else last
        return f"The picture shows {listed}."


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


PLURALS: Final = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "star": "stars",
    "heart": "hearts",
    "cross": "crosses",
    "diamond": "diamonds",
    "ring": "rings",
}

ENGLISH: Final = English(
    describe=(
        "Describe this picture.",
        "Describe this picture",
        "describe the picture",
        "Describe the image.",
        "Describe this image in one sentence.",
        "Please describe this picture.",
        "What is in this picture?",
        "What's in the picture?",
        "What does this picture show?",
        "What do you see?",
        "What can you see in this image?",
        "Tell me what is in the image.",
        "What is this?",
    ),
    how_many=(
        "How many shapes are there?",
        "How many shapes are in the picture?",
        "how many shapes do you see",
        "How many objects are there?",
        "How many objects can you see in this image?",
        "Count the shapes.",
        "Count the objects in the picture.",
        "What is the number of shapes?",
    ),
    how_many_of=(
        "How many {them} are there?",
        "How many {them} are in the picture?",
        "how many {them}",
        "How many {them} do you see?",
        "How many {them} can you see in this image?",
        "Count the {them}.",
    ),
    is_there=(
        "Is there {it}?",
        "Is there {it} in the picture?",
        "Do you see {it}?",
        "Can you see {it}?",
        "Does the picture show {it}?",
    ),
    which_shape=(
        "What shape is this?",
        "What shape is it?",
        "Which shape is this?",
        "which shape do you see",
        "What is the shape?",
        "What shape is in the picture?",
        "Which shape is in the image?",
        "What shape does this picture show?",
        "Name the shape.",
    ),
    which_colour=(
        "What colour is it?",
        "What color is it?",
        "What colour is this?",
        "Which colour is it?",
        "which color is this",
        "What is the colour of the shape?",
        "What color is the shape?",
        "Which colour does the shape have?",
        "What colour is the object?",
    ),
    which_kind=(
        "What shape is this, and which colour?",
        "What shape is this, and what colour?",
        "What shape and color is this?",
        "Which shape is this and which colour is it?",
        "Which shape and which colour do you see?",
        "What shape is it, and what color is it?",
        "What colour and shape is it?",
        "Name the shape and its colour.",
    ),
    where_is_it=(
        "Where is it?",
        "Where is the shape?",
        "Where in the picture is the shape?",
        "Where is the object?",
        "In which part of the picture is it?",
    ),
    which_colour_is=(
        "What colour is {it}?",
        "What color is {it}?",
        "Which colour is {it}?",
        "which color does {it} have",
        "What is the colour of {it}?",
        "And what colour is {it}?",
    ),
    which_shape_is=(
        "What shape is {it}?",
        "Which shape is {it}?",
        "what shape does {it} have",
        "What is the shape of {it}?",
        "And what shape is {it}?",
    ),
    where_is=(
        "Where is {it}?",
        "Where is {it} in the picture?",
        "where do you see {it}",
        "In which part of the picture is {it}?",
        "And where is {it}?",
    ),
    what_is_at=(
        "What is {at}?",
        "Which shape is {at}?",
        "What do you see {at}?",
        "what is {at} of the picture",
        "And what is {at}?",
    ),
    bigger=(
        "Which is bigger?",
        "Which one is bigger?",
        "Which shape is bigger?",
        "Which shape is larger?",
        "which one is larger",
        "Which object is the biggest?",
        "What is the largest shape?",
    ),
    smaller=(
        "Which is smaller?",
        "Which one is smaller?",
        "Which shape is smaller?",
        "which object is smaller",
        "Which shape is the smallest?",
        "What is the smallest shape?",
    ),
    read=(
        "What is written here?",
        "What is written in the picture?",
        "what is written",
        "What does it say?",
        "What does the text say?",
        "What text is in the image?",
        "Read the text.",
        "Extract the text.",
        "Which word is written here?",
        "Please read what is written.",
    ),
    read_number=(
        "What number is this?",
        "Which number is this?",
        "What number is written here?",
        "Which number is written in the picture?",
        "what number do you see",
        "Read the number.",
        "What is the number?",
    ),
    the_writing=("the text", "the writing"),
    anything=(
        "Hello!",
        "hi",
        "Who are you?",
        "What can you do?",
        "What is the capital of France?",
        "Tell me a joke.",
        "How is the weather today?",
        "Is this a dog or a cat?",
        "Who is this person?",
        "What is the man doing?",
        "Where was this photo taken?",
        "How many people are there?",
        "What brand is the car?",
        "Write a poem about the sea.",
        "Can you help me?",
        "Thank you!",
        "What time is it?",
        "Explain this chart.",
    ),
    honest="I only know simple shapes, colours and numbers.",
    no_writing="There is no text.",
    no_shapes="There are no shapes, only text.",
    picture_of_number="The picture shows the number {}.",
    picture_of_text="The picture shows the text {}.",
)
