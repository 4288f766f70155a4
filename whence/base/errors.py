"""The one error that a user can cause and mend: stages print it without a traceback and exit with 1."""


class InputError(ValueError):
    """Bad input. The message names the file, the value, what was expected, and what to do."""
