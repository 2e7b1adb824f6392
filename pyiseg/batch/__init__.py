"""Work on many items: side by side, and continued where it was interrupted."""
