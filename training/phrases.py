"""The words of questions and answers: one table for each language."""

from __future__ import annotations

from dataclasses import dataclass

from training.scenes import Kind

Texts = tuple[str, ...]


@dataclass(frozen=True)
class Phrases:
    """Questions of one language, and the forms of its answers."""

    describe: Texts
    how_many: Texts
    how_many_of: Texts
    is_there: Texts
    which_shape: Texts
    which_colour: Texts
    which_kind: Texts
    where_is_it: Texts
    which_colour_is: Texts
    which_shape_is: Texts
    where_is: Texts
    what_is_at: Texts
    bigger: Texts
    smaller: Texts
    read: Texts
    read_number: Texts
    the_writing: Texts
    anything: Texts
    honest: str
    no_writing: str
    no_shapes: str
    picture_of_number: str
    picture_of_text: str

    # Differences of grammar, not only of words.
    def name(self, kind: Kind) -> str: ...
    def a(self, kind: Kind) -> str: ...
    def a_shape(self, shape: str) -> str: ...
    def is_colour(self, colour: str) -> str: ...
    def the(self, colour: str | None, shape: str | None) -> str: ...
    def that(self, kind: Kind) -> str: ...
    def many(self, colour: str | None, shape: str | None) -> str: ...
    def there_are(self, n: int, colour: str | None, shape: str | None) -> str: ...
    def yes_no(self, yes: bool) -> str: ...
    def place(self, place: str) -> str: ...
    def at(self, place: str) -> str: ...
    def placed(self, kind: Kind, place: str) -> str: ...
    def counted(self, n: int, kind: Kind) -> str: ...
    def picture_of(self, parts: list[str]) -> str: ...
