"""A teacher that can be asked to stop between two separations: scoring takes a dozen."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from torch import Tensor

from demucs.blind.teacher import Teacher
from demucs.process.signals import Interrupted


@dataclass(frozen=True, kw_only=True)
class StoppableTeacher(Teacher):
    """Separates as `teacher` does.

    Attributes:
        teacher: whose attributes it has.
        stop: whether to end; asked before each separation.
    """

    teacher: Teacher
    stop: Callable[[], bool]

    @classmethod
    def wrap(cls, teacher: Teacher, stop: Callable[[], bool]) -> "StoppableTeacher":
        own = {one.name: getattr(teacher, one.name) for one in fields(teacher)}
        return cls(**own, teacher=teacher, stop=stop)

    def __call__(self, mixture: Tensor) -> Tensor:
        """Raises Interrupted if it was asked to stop."""
        if self.stop():
            raise Interrupted
        return self.teacher(mixture)
