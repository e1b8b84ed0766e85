"""From settings, model files and the machine to a Plan, from a Plan to an engine."""
