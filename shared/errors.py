"""Every error that Marquee raises on purpose.

    MarqueeError
    ├── ConfigError         marquee.toml or the environment says something that cannot be
    ├── InputError          a file, folder or argument that the caller gave cannot be used
    │   └── EventError      one event that breaks the schema (goes to dead letters or quarantine)
    ├── UnavailableError    Redis, Kafka, the lake or Java cannot be reached or used within its time limit
    ├── SnapshotError       a snapshot is missing, incomplete, of a newer version, or fails its checksum
    ├── ModelError          a model cannot be fitted, saved or loaded
    └── ConflictError       somebody else holds or moved what this process was about to write

A message is one sentence that names what is wrong, where, and what was expected. Commands print it and exit with 2.
"""


class MarqueeError(Exception):
    """Base of all errors raised on purpose; commands print its message and exit with 2."""


class ConfigError(MarqueeError):
    """The configuration is missing, unreadable, or has a wrong or unknown key."""


class InputError(MarqueeError):
    """A file, folder or argument given by the caller cannot be used."""


class EventError(InputError):
    """One event breaks the schema; its message is the reason kept with the dead letter."""


class UnavailableError(MarqueeError):
    """A component that is needed cannot be reached, or did not answer within its time limit."""


class SnapshotError(MarqueeError):
    """A snapshot is missing, incomplete, corrupt, or written by a newer version."""


class ModelError(MarqueeError):
    """A model cannot be fitted, saved or loaded."""


class ConflictError(MarqueeError):
    """Another process holds the lock, or has moved the data that was about to be written."""
