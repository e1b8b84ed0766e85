"""Edge-VL: picture questions answered on a CPU server that never falls over."""

__version__ = "0.1.0"
