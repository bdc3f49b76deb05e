"""Objects that raise as soon as any code of theirs is run: nothing that only looks at data may touch it."""

from __future__ import annotations


class CodeWasRunError(BaseException):
    """Code of the program's was run; no `Exception`, lest anybody handle it."""


def bomb(*args, **kwargs):
    """Stand for any code of the program's."""
    raise CodeWasRunError


_METHODS = (
    "__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __bool__ __len__ __length_hint__ __repr__ __str__ __format__ "
    "__bytes__ __iter__ __next__ __getitem__ __setitem__ __contains__ __getattr__ __getattribute__ __setattr__ "
    "__call__ __index__ __int__ __float__ __complex__ __trunc__ __round__ __add__ __radd__ __sub__ __rsub__ __mul__ "
    "__rmul__ __mod__ __rmod__ __or__ __ror__ __and__ __rand__ __neg__ __pos__ __invert__ __abs__ __get__ __set__ "
    "__missing__ __reversed__ __instancecheck__ __subclasscheck__ __mro_entries__ __fspath__ __dir__ __reduce_ex__ "
    "__buffer__"
).split()


class HostileMeta(type):
    """A metaclass whose every method raises."""


class Hostile(metaclass=HostileMeta):
    """An object whose every method raises; see `hostile` for how to make one."""

    __class__ = property(bomb)
    attribute = property(bomb)


for _name in _METHODS:
    setattr(Hostile, _name, bomb)
for _name in _METHODS:
    type.__setattr__(HostileMeta, _name, bomb)


def hostile(**attributes):
    """Return a new hostile object that has `attributes` in its instance dict."""
    made = object.__new__(Hostile)
    object.__getattribute__(made, "__dict__").update(attributes)
    return made
