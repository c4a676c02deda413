"""The errors a user can cause or meet, each with the exit code the command line returns."""

__all__ = ["CallError", "DataError", "ModelError", "ProbeError", "TrainingError"]


class ProbeError(Exception):
    """An error whose message is written for the user: what was found, what was expected, what to do."""

    exit_code = 1


class CallError(ProbeError):
    """The call was wrong: an unknown name, a value out of range, a path that is not there."""

    exit_code = 2


class DataError(ProbeError):
    """A data set could not be read, downloaded or written."""


class ModelError(ProbeError):
    """A model could not be found, loaded or read layer by layer."""


class TrainingError(ProbeError):
    """A training came to nothing."""
