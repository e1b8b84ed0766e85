"""The engine: continuous batching of questions on one thread, pictures on another.

`scheduler` and the modules it imports are pure policy; `engine` and `encoder` are the
two threads. The computing is behind `protocols`.
"""
