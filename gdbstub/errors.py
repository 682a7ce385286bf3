"""What can go wrong, by who has to act."""


class ProtocolError(Exception):
    """The other side sent something that cannot be understood or done; the session answers it with an error reply.

    `code` is an errno-like number of at most 8 bits. A `text` is shown to the person by gdb: printable ASCII.
    """

    def __init__(self, code: int = 1, text: str = "") -> None:
        super().__init__(text or f"error {code}")
        self.code = code
        self.text = text

    @property
    def reply(self) -> bytes:
        """The error reply: `E.text`, which gdb shows, or `Enn`."""
        if self.text:
            return b"E." + self.text.encode("ascii", "replace")
        return b"E%02x" % (self.code & 0xFF)


INVALID = 22
"""EINVAL: malformed arguments."""

FAULT = 14
"""EFAULT: no memory there."""
