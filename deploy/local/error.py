"""The one error of the local stack."""


class StackError(Exception):
    """A server of the local stack could not be got, started or used; the text says what to do."""
