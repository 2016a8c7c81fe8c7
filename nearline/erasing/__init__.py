"""Erasing a member, and the proof of it."""
