"""What can go wrong between a host and a board."""


class TetherError(RuntimeError):
    """The line, or what is at its other end, is not what it should be; the message says what, and
    what to do."""
