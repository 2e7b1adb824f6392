"""Times and memory of sessions, alone or beside other methods, on images that the benchmark makes itself."""
