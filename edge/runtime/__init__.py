"""Who computes: llama.cpp through llama-cpp-python's low-level bindings, and a stub.

The only importer of `llama_cpp`.
"""
