"""Parts of a message that hold a file: a PDF, a TIFF with pages, or a picture."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edge.documents import check_range
from edge.errors import InvalidRequest, UnsupportedParameter
from edge.images import Detail
from ui.openai.data_url import decode_picture
from ui.openai.values import Body, Text
from ui.prompt_parts import blaming
from ui.question import SentDocument, TextLayer, digest_of


def _as_detail(value: Any) -> Any:
    """OpenAI's "original" is the most that this server gives."""
    return "high" if value == "original" else value


AnyDetail = Annotated[
    Detail,
    BeforeValidator(_as_detail, json_schema_input_type=Detail | Literal["original"]),
]


class File(Body):
    """`pages`, `text_layer` and `detail` are not OpenAI's."""

    file_data: str = ""
    filename: Annotated[str, Field(max_length=200)] = ""
    pages: Annotated[str, Field(max_length=200)] = ""
    text_layer: TextLayer = "auto"
    detail: AnyDetail = "auto"
    file_id: Text = ""
    file_url: Text = ""

    def refuse_unsent(self, param: str) -> None:
        """Raises UnsupportedParameter for a file that is not sent with the question, as
        `param`, InvalidRequest where there is none."""
        for name in ("file_id", "file_url"):
            if getattr(self, name):
                raise UnsupportedParameter(
                    f"{param}.{name} is not read here. Send the file itself as "
                    "file_data: data:application/pdf;base64,...",
                    param=f"{param}.{name}",
                )
        if not self.file_data:
            raise InvalidRequest(
                f"{param}.file_data: Field required.", param=f"{param}.file_data"
            )


class FilePart(Body):
    type: Literal["file"]
    file: File


def document_of(file: File, param: str) -> SentDocument:
    """The document that a body holds as `param`, whose file nobody has looked at.
    Raises the EdgeError that refuses it."""
    file.refuse_unsent(param)
    with blaming(f"{param}.pages"):
        check_range(file.pages)
    with blaming(f"{param}.file_data"):
        encoded = decode_picture(file.file_data)
    return SentDocument(
        digest_of(encoded),
        lambda: encoded,
        file.detail,
        param,
        file.filename,
        file.pages,
        file.text_layer,
    )
