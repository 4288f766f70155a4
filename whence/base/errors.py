"""The one error that a user can cause and mend: stages print it without a traceback and exit with 1."""

from collections.abc import Sequence


class InputError(ValueError):
    """Bad input. The message names the file, the value, what was expected, and what to do."""


def shown(lines: Sequence[str], most: int = 10) -> str:
    """Return the first few lines, indented, and how many more there are."""
    more = f"\n  and {len(lines) - most:,} more" if len(lines) > most else ""
    return "\n  ".join(["", *lines[:most]]) + more
