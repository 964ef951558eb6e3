"""Measurements of whole servers. Each run compares in rounds (A B A B): absolute figures move with the machine."""
