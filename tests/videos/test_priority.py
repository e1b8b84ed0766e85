"""What an encoder of videos does to the process of the tests."""

import os

from tests.videos.video_files import CODECS, colours, video


def test_an_encoder_may_change_the_priority() -> None:
    video(colours(), *CODECS["av1"])


def test_the_next_test_has_an_ordinary_one() -> None:
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
