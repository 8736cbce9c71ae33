"""Results of an evaluation: files, aggregates, tables and comparisons. Imports no torch."""
