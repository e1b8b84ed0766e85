"""Histogram buckets for the metrics of web process and worker.

Each is 1.6 times the previous one, as in the Renard series of ISO 3. A percentile from
a histogram is then correct to within that factor, from a cached answer to a question
that waited until its deadline, with 21 counters per histogram.
"""

from __future__ import annotations

# Seconds of a whole question. The last exceeds the default deadline, so that no
# question is beyond the buckets.
BUCKETS_S = (
    *(0.04, 0.063, 0.1, 0.16, 0.25, 0.4, 0.63),
    *(1.0, 1.6, 2.5, 4.0, 6.3, 10.0, 16.0, 25.0, 40.0, 63.0),
    *(100.0, 160.0, 250.0, 400.0),
)
# Seconds per token: from the tiny model to a model that is read from a slow disk.
TOKEN_BUCKETS_S = (
    *(0.0025, 0.004, 0.0063, 0.01, 0.016, 0.025, 0.04, 0.063),
    *(0.1, 0.16, 0.25, 0.4, 0.63, 1.0, 1.6, 2.5),
)
