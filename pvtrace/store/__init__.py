"""The trace file: one SQLite file for one recording. Knows tables and bytes, and nothing of what a machine does."""
