"""Clipper's images and its Docker manager, on a real engine: ``make test-docker``."""
