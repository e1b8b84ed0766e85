"""A reader of HEIF (HEVC) for Pillow, over libheif, which the package pi_heif brings.

pi_heif's own reader lets the decoder start a thread for each picture, which ends a
confined child. It has no option for that, so libheif's functions are called here.
Sources: libheif's public headers (heif_context.h, heif_decoding.h), 1.21 and later.
"""

from __future__ import annotations

import ctypes
import weakref
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint8, c_void_p
from typing import Any

import _pi_heif
from PIL import Image, ImageFile

_RGB, _INTERLEAVED_RGB, _INTERLEAVED_RGBA = 1, 10, 11
_INTERLEAVED = 10  # the one plane that holds all channels
_WITH_THREADS = 8  # the version of the options that has the numbers of threads
_NO_THREADS = -1  # 0 means as many as libheif likes: one


class _Error(ctypes.Structure):
    _fields_ = (("code", c_int), ("subcode", c_int), ("message", c_char_p))


class _Options(ctypes.Structure):
    """`struct heif_decoding_options` up to its version 8; later ones append to it."""

    _fields_ = (
        ("version", c_uint8),
        ("ignore_transformations", c_uint8),
        ("start_progress", c_void_p),
        ("on_progress", c_void_p),
        ("end_progress", c_void_p),
        ("progress_user_data", c_void_p),
        ("convert_hdr_to_8bit", c_uint8),
        ("strict_decoding", c_uint8),
        ("decoder_id", c_char_p),
        ("color_version", c_uint8),
        ("color_downsampling", c_int),
        ("color_upsampling", c_int),
        ("color_only_preferred", c_uint8),
        ("cancel_decoding", c_void_p),
        ("color_conversion", c_void_p),
        ("ignore_sequence_editlist", c_int),
        ("output_nclx_profile", c_void_p),
        ("num_library_threads", c_int),
        ("num_codec_threads", c_int),
    )


def _declared() -> ctypes.CDLL:
    """libheif, on which the binding depends, with the types of what is called here."""
    found = ctypes.CDLL(_pi_heif.__file__)
    out = POINTER(c_void_p)
    for name, result, arguments in (
        ("context_alloc", c_void_p, ()),
        ("context_free", None, (c_void_p,)),
        ("context_set_max_decoding_threads", None, (c_void_p, c_int)),
        (
            "context_read_from_memory_without_copy",
            _Error,
            (c_void_p, c_char_p, c_size_t, c_void_p),
        ),
        ("context_get_primary_image_handle", _Error, (c_void_p, out)),
        ("context_get_number_of_top_level_images", c_int, (c_void_p,)),
        ("image_handle_get_width", c_int, (c_void_p,)),
        ("image_handle_get_height", c_int, (c_void_p,)),
        ("image_handle_has_alpha_channel", c_int, (c_void_p,)),
        ("image_handle_release", None, (c_void_p,)),
        ("decoding_options_alloc", POINTER(_Options), ()),
        ("decoding_options_free", None, (POINTER(_Options),)),
        (
            "decode_image",
            _Error,
            (c_void_p, out, c_int, c_int, POINTER(_Options)),
        ),
        ("image_get_width", c_int, (c_void_p, c_int)),
        ("image_get_height", c_int, (c_void_p, c_int)),
        ("image_get_plane_readonly", c_void_p, (c_void_p, c_int, POINTER(c_int))),
        ("image_release", None, (c_void_p,)),
    ):
        function = getattr(found, f"heif_{name}")
        function.restype, function.argtypes = result, arguments
    return found


_heif = _declared()


class HeifImageFile(ImageFile.ImageFile):
    """The primary picture of a file, upright: libheif applies its rotation and mirror,
    and by the standard the orientation in its EXIF means nothing.

    Raises OSError with libheif's sentence for a file that it cannot read.
    """

    format = "HEIF"
    format_description = "HEIF with HEVC"

    def _open(self) -> None:
        assert self.fp is not None
        self._encoded = self.fp.read()  # libheif keeps no copy
        context = _heif.heif_context_alloc()
        weakref.finalize(self, _heif.heif_context_free, context)
        _heif.heif_context_set_max_decoding_threads(context, 0)
        _check(
            _heif.heif_context_read_from_memory_without_copy(
                context, self._encoded, len(self._encoded), None
            )
        )
        handle = c_void_p()
        _check(_heif.heif_context_get_primary_image_handle(context, handle))
        weakref.finalize(self, _heif.heif_image_handle_release, handle)
        self._handle = handle
        self._mode = (
            "RGBA" if _heif.heif_image_handle_has_alpha_channel(handle) else "RGB"
        )
        self._size = (
            _heif.heif_image_handle_get_width(handle),
            _heif.heif_image_handle_get_height(handle),
        )
        n_pictures = _heif.heif_context_get_number_of_top_level_images(context)
        self.is_animated = n_pictures > 1

    def load(self) -> Any:
        if self._im is None:
            self._decode()
        return super().load()

    def _decode(self) -> None:
        options = _heif.heif_decoding_options_alloc()
        decoded, stride = c_void_p(), c_int()
        chroma = _INTERLEAVED_RGBA if self.mode == "RGBA" else _INTERLEAVED_RGB
        try:
            if options.contents.version < _WITH_THREADS:
                raise OSError("this libheif is older than 1.21")
            options.contents.num_codec_threads = _NO_THREADS
            _check(
                _heif.heif_decode_image(self._handle, decoded, _RGB, chroma, options)
            )
            width = _heif.heif_image_get_width(decoded, _INTERLEAVED)
            height = _heif.heif_image_get_height(decoded, _INTERLEAVED)
            plane = _heif.heif_image_get_plane_readonly(decoded, _INTERLEAVED, stride)
            if (width, height) != self.size or not plane:
                raise OSError("its size differs from the one in its header")
            pixels = (c_uint8 * (stride.value * height)).from_address(plane)
            self.im = Image.frombytes(
                self.mode, self.size, pixels, "raw", self.mode, stride.value
            ).im
        finally:
            if decoded:
                _heif.heif_image_release(decoded)
            _heif.heif_decoding_options_free(options)


def _check(error: _Error) -> None:
    if error.code:
        raise OSError(error.message.decode(errors="replace"))


def _accept(start: bytes) -> bool:
    return start[4:8] == b"ftyp"  # `claim_of` has read the brands


Image.register_open(HeifImageFile.format, HeifImageFile, _accept)
