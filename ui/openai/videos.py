"""Parts of a message that hold a video: a file, or a list of pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edge.errors import InvalidRequest
from edge.images import Detail
from edge.qwen3vl.video import FRAMES_PER_SECOND
from edge.videos import MAX_FRAMES, MAX_SECONDS, VideoOrder
from ui.openai.data_url import decode_picture, decode_video
from ui.openai.files import AnyDetail
from ui.openai.values import Body, as_url
from ui.picture_hosts import Link, PictureHosts, is_link
from ui.prompt_parts import blaming
from ui.question import Frames, LinkedVideo, SentVideo, Video

Rate = Annotated[float, Field(gt=0, le=60)]


def _as_frame(value: Any) -> Any:
    return {"image": value} if isinstance(value, str) else value


class VideoUrl(Body):
    """`fps` and `detail` may stand here, or beside it."""

    url: str
    fps: Rate | None = None
    detail: AnyDetail | None = None


class VideoFrame(Body):
    image: str
    seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None


class VideoUrlPart(Body):
    type: Literal["video_url"]
    video_url: Annotated[
        VideoUrl, BeforeValidator(as_url, json_schema_input_type=VideoUrl | str)
    ]
    fps: Rate | None = None
    detail: AnyDetail | None = None


class FramesPart(Body):
    """Pictures of a video, in their order; `fps` of them a second, if they have no
    seconds."""

    type: Literal["video"]
    video: list[
        Annotated[
            VideoFrame,
            BeforeValidator(_as_frame, json_schema_input_type=VideoFrame | str),
        ]
    ] = Field(min_length=1, max_length=MAX_FRAMES, fail_fast=True)
    fps: Rate | None = None
    detail: AnyDetail | None = None


def video_of(part: VideoUrlPart | FramesPart, param: str, hosts: PictureHosts) -> Video:
    """The video that a body holds as `param`, whose bytes nobody has looked at, or its
    address on one of `hosts`. Raises the EdgeError that refuses it."""
    if isinstance(part, VideoUrlPart):
        return _file(part, f"{param}.video_url", hosts)
    param = f"{param}.video"
    files: list[bytes | Link] = []
    for i, frame in enumerate(part.video):
        is_linked = hosts and is_link(frame.image)
        with blaming(f"{param}[{i}]"):
            files.append(
                hosts.link(frame.image) if is_linked else decode_picture(frame.image)
            )
    order = VideoOrder(fps=part.fps or FRAMES_PER_SECOND, times=_times(part, param))
    frames = Frames(tuple(files), order, part.detail or "auto", param)
    return frames if frames.links else frames.fetched()


def _file(part: VideoUrlPart, param: str, hosts: PictureHosts) -> Video:
    file = part.video_url
    order = VideoOrder(fps=part.fps or file.fps or FRAMES_PER_SECOND)
    detail: Detail = part.detail or file.detail or "auto"
    with blaming(param):
        if hosts and is_link(file.url):
            return LinkedVideo(hosts.link(file.url, "video"), order, detail, param)
        return SentVideo.of(decode_video(file.url), order, detail, param)


def _times(part: FramesPart, param: str) -> tuple[float, ...]:
    """The seconds of all pictures, or nothing. Raises InvalidRequest."""
    times = tuple(f.seconds for f in part.video if f.seconds is not None)
    if times and len(times) < len(part.video):
        raise InvalidRequest(
            f"{param}: Send the seconds of all pictures, or of none.", param=param
        )
    if any(after <= before for before, after in pairwise(times)):
        raise InvalidRequest(
            f"{param}: Send the pictures in their order, each with later seconds than "
            "the one before.",
            param=param,
        )
    if times and times[-1] - times[0] > MAX_SECONDS:
        raise InvalidRequest(
            f"{param}: The pictures are of {times[-1] - times[0]:.0f} seconds; at most "
            f"{MAX_SECONDS} are read.",
            param=param,
        )
    return times
