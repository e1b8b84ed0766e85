"""Public stubs of the two compute seams: deterministic, without a model."""
