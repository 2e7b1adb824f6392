"""The validation list: its cases, its graphics, and reports on it."""
