"""The exception family of codesign: each message says what is wrong, where, and what to do about it."""

from __future__ import annotations


class CodesignError(Exception):
    """Base of every error that codesign raises on purpose.

    Args:
        what: what is wrong, with the offending value.
        where: the file and key, the design, the tool: the place to look.
        remedy: what the user can do about it.

    The class attribute ``exit_code`` is what the command line returns.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the three parts when the error crosses a process border."""
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def _rebuild(cls: type[CodesignError], what: str, where: str | None, remedy: str | None) -> CodesignError:
    return cls(what, where=where, remedy=remedy)


class InputError(CodesignError):
    """A study file, record, argument or data file is not what it must be."""

    exit_code = 2


class ToolMissingError(CodesignError):
    """A program or optional package that this command needs is not installed."""

    exit_code = 3


class InfeasibleError(CodesignError):
    """No design of the space satisfies the limits."""

    exit_code = 4


class EvaluationError(CodesignError):
    """Training, compilation or simulation of designs failed beyond the allowed number."""

    exit_code = 5


class VerificationError(CodesignError):
    """A simulated design does not equal the quantised model."""

    exit_code = 6


class InterruptedRunError(CodesignError):
    """The user stopped a run; everything finished is in the store."""

    exit_code = 130


class StoreError(CodesignError):
    """The study store is locked, damaged, or written by another schema."""

    exit_code = 7
