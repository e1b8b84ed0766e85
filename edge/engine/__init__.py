"""The engine: which tokens are computed next, for whom, on which thread.

sequence, slots, batch, scheduler and detokenizer are pure policy; `engine` is the
thread that runs them. Who computes is behind the protocols.
"""
