"""The language model in OpenVINO: its graph, its paged cache, a Runtime over both."""
