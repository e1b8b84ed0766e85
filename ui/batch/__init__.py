"""OpenAI's Batch API: /v1/files and /v1/batches.

Source: the OpenAI API reference, "Files" and "Batch". Files and batches are folders
below EDGE_DATA_DIR, because they may be larger than a queue in memory. One process at a
time works on a batch and holds the lock of its folder. The lock of a process that dies
is free: another one goes on behind the last result on the disk.
"""
