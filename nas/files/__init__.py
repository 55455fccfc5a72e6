"""Files on disk: one strict reader a format, one atomic write, one lock."""
