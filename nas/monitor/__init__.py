"""Deployed networks at work: watched, recalibrated, switched."""
