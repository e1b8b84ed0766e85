"""Reports recorded runs: figures, tables and charts."""
