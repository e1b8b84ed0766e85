"""The scenarios: Locust files, each with its defaults as plain data."""
