"""The one family of errors a user can cause or must act on.

Every message names the offending value and the remedy. Libraries raise; only the
command-line doors (`train`, `separate`, `tools.*`) print the message and exit non-zero.
"""


class DemucsError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigError(DemucsError):
    """A configuration, override or argument that cannot work."""


class DatasetError(DemucsError):
    """A dataset folder that is missing, empty or inconsistent."""


class AudioError(DemucsError):
    """An audio file that cannot be read, decoded or written."""


class ModelNotFoundError(DemucsError):
    """A model name or experiment signature that does not exist where it was looked for."""


class ReleaseError(DemucsError):
    """A release file that is corrupted, incomplete or of an unknown format."""


class CheckpointError(DemucsError):
    """A training checkpoint that is corrupted or belongs to another configuration."""


class MissingToolError(DemucsError):
    """An external program or optional package that is needed and not installed."""
