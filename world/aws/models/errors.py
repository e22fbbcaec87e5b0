"""The one error of the models: what AWS answers instead of a result."""

from typing import Any


class AwsError(Exception):
    """A refusal as a client sees it: its code, its message, and the further members of the error's shape."""

    def __init__(self, code: str, message: str, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.members = members
