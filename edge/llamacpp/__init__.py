"""llama.cpp: vocabulary, sampler, runtime and vision encoder. Its only importer."""
