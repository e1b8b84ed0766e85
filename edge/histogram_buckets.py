"""The steps in which both ends of the queue measure time.

Each is 1.6 times the one before, as in the Renard series of ISO 3: a percentile read
off a histogram is then right to within that factor anywhere between a cached answer and
a question that waited for its deadline, at 21 counters for a histogram.
"""

from __future__ import annotations

# Seconds of a whole question. The last is past the default deadline: nothing is
# "more than we can tell".
BUCKETS_S = (
    *(0.04, 0.063, 0.1, 0.16, 0.25, 0.4, 0.63),
    *(1.0, 1.6, 2.5, 4.0, 6.3, 10.0, 16.0, 25.0, 40.0, 63.0),
    *(100.0, 160.0, 250.0, 400.0),
)
# Seconds between two tokens: from the tiny model to one that reads from a slow disk.
TOKEN_BUCKETS_S = (
    *(0.0025, 0.004, 0.0063, 0.01, 0.016, 0.025, 0.04, 0.063),
    *(0.1, 0.16, 0.25, 0.4, 0.63, 1.0, 1.6, 2.5),
)
