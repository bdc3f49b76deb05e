"""Items of the standard library's own containers in Python: weak ones, ConfigParser, email messages.

Each is read from the data that it keeps, as its own methods would, where these are the library's.
"""

from __future__ import annotations

from collections.abc import Callable

from stopwhen import static
from stopwhen.cells import DictItem
from stopwhen.comparing import comparing_method, hashing_method
from stopwhen.originals import types, use_original_builtins, weakref
from stopwhen.record import Absence, Record, text_of
from stopwhen.static import class_name
from stopwhen.type_hints import Any, Final
from stopwhen.types import ABSENT
from stopwhen.values import is_simple

use_original_builtins(globals())

UNKNOWN: Final = object()
"""Returned for what is no such container, or whose class reads its items in a way of its own."""

_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)


def _kept(record: Record, owner: Any, attribute: str, name: str) -> Any:
    """Return what `owner`, called `name`, keeps under `attribute`, or `ABSENT`."""
    attributes = static.instance_dict(owner)
    return ABSENT if attributes is None else record.look(DictItem(f"{name}.{attribute}", attributes, attribute))


def weak_base(kind: type, *methods: str) -> Any:
    """Return the weak container that `kind` is or derives from, with `methods` of the library's; None for none."""
    return next((base for base in _WEAK if static.inherits(kind, base, *methods)), None)


def size(record: Record, owner: Any, name: str) -> int | None:
    """Return the length of a weak container or email message; None for all else."""
    if _is_of(type(owner), "email.message", "Message", "__len__"):
        headers = _kept(record, owner, "_headers", name)
        return len(record.content(headers, f"{name}._headers")) if type(headers) is list else None
    if weak_base(type(owner), "__len__") is None:
        return None
    kept, removed = (_kept(record, owner, attribute, name) for attribute in ("data", "_pending_removals"))
    if removed is ABSENT:
        removed = []  # Python 3.14 and later puts no removal off
    if type(kept) not in (dict, set) or type(removed) is not list:
        raise Absence(AttributeError, f"{class_name(type(owner))!r} object has no attribute 'data'")
    return len(record.content(kept, f"{name}.data")) - len(record.content(removed, f"{name}._pending_removals"))


def contains(record: Record, owner: Any, value: Any, name: str) -> bool | None:
    """Return whether a weak set, the weak keys of a mapping, or an email message hold `value`; None for all else."""
    if _is_of(type(owner), "email.message", "Message", "__contains__") and type(value) is str:
        return _pair_of(record, owner, value, name) is not None
    if _is_of(type(owner), "configparser", "RawConfigParser", "__contains__", "has_section") and type(value) is str:
        sections = _kept(record, owner, "_sections", name)
        is_default = value == _kept(record, owner, "default_section", name)
        return is_default or (
            type(sections) is dict and record.look(DictItem(f"{name}[{value!r}]", sections, value)) is not ABSENT
        )
    base = weak_base(type(owner), "__contains__")
    if base is None or base is weakref.WeakValueDictionary:
        return None
    return _entry_of(record, owner, value, name, lambda: value in owner) is not ABSENT


def _entry_of(record: Record, owner: Any, key: Any, name: str, run: Callable[[], Any]) -> Any:
    """Return what a weak container has under `key`, or `ABSENT`; the very object is looked for."""
    kept = _kept(record, owner, "data", name)
    if type(kept) is not dict and type(kept) is not set:
        raise Absence(AttributeError, f"{class_name(type(owner))!r} object has no attribute 'data'")
    kept = record.content(kept, f"{name}.data")
    method = hashing_method([key]) or comparing_method(type(key))
    if method is not None:
        return record.foreign(f"{method} would run to find a key of {name!r}", run)
    for one in list(kept):
        if type(one) is weakref.ref and one() is key:
            return kept[one] if type(kept) is dict else key
    return ABSENT


def item(record: Record, owner: Any, key: Any, name: str, text: str) -> Any:
    """Return `owner[key]` of a container of the library, or `UNKNOWN`."""
    kind = type(owner)
    if weak_base(kind, "__getitem__") is weakref.WeakKeyDictionary:
        record.fresh = False
        value = _entry_of(record, owner, key, name, lambda: owner[key])
        if value is ABSENT:
            raise Absence(KeyError, text_of(key))
        return value
    if weak_base(kind, "__getitem__") is weakref.WeakValueDictionary:
        # What is read is held, and this is a container that holds nothing.
        return record.computed(
            f"watching {text!r} would keep alive what {name!r} holds by a weak reference",
            lambda: owner[key],
            text,
            lambda: f"{name}.data[{text_of(key) or '...'}]",
        )
    if _is_of(kind, "configparser", "RawConfigParser", "__getitem__", "has_section"):
        return _section(record, owner, key, name, text)
    if _is_of(kind, "configparser", "SectionProxy", "__getitem__", "get"):
        parser, section = (_kept(record, owner, attribute, name) for attribute in ("_parser", "_name"))
        return _option(record, parser, (section, key), (name, text), lambda: owner[key])
    if _is_of(kind, "email.message", "Message", "__getitem__", "get"):
        return _header(record, owner, key, name, text)
    return UNKNOWN


def call(record: Record, function: Any, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return what `parser.get(section, option)` or `message.get(name)` returns, or `UNKNOWN` for all other calls."""
    if type(function) is not types.MethodType or options:
        return UNKNOWN
    owner, method, owner_text = function.__self__, function.__func__, name.rpartition(".")[0]

    def run() -> Any:
        return function(*arguments)

    if _is_method(method, "configparser", "RawConfigParser") and len(arguments) == 2:
        text = f"{owner_text}[{text_of(arguments[0])}][{text_of(arguments[1])}]"
        return _option(record, owner, (arguments[0], arguments[1]), (owner_text, text), run)
    if _is_method(method, "email.message", "Message") and len(arguments) == 1:
        return _header(record, owner, arguments[0], owner_text, f"{owner_text}[{text_of(arguments[0])}]")
    return UNKNOWN


def _is_method(function: Any, module: str, name: str) -> bool:
    """Tell whether `function` is `get` of a class of the library."""
    base = static.loaded_class(module, name)
    return base is not None and static.entry(base, "get") is function


def _is_of(kind: type, module: str, name: str, *methods: str) -> bool:
    base = static.loaded_class(module, name)
    return base is not None and static.inherits(kind, base, *methods)


def _section(record: Record, parser: Any, key: Any, name: str, text: str) -> Any:
    """Return the section `key` of a ConfigParser: the object that stands for it."""
    record.fresh = False
    sections, proxies = (_kept(record, parser, attribute, name) for attribute in ("_sections", "_proxies"))
    if not is_simple(key) or not static.is_a(sections, dict) or not static.is_a(proxies, dict):
        raise Absence(KeyError, text_of(key))
    is_default = key == _kept(record, parser, "default_section", name)
    if not is_default and record.look(DictItem(text, sections, key)) is ABSENT:
        raise Absence(KeyError, text_of(key))
    value = record.look(DictItem(text, proxies, key))
    if value is ABSENT:
        raise Absence(KeyError, text_of(key))
    return value


_MARKS = {"BasicInterpolation": "%", "ExtendedInterpolation": "$"}


def _option(record: Record, parser: Any, place: tuple[Any, Any], names: tuple[str, str], run: Callable[[], Any]) -> Any:
    """Return the option `key` of a section of a ConfigParser; one whose value refers to others is computed."""
    kind = type(parser)
    (section, key), (name, text) = place, names
    if not _is_of(kind, "configparser", "RawConfigParser", "get", "has_option", "_unify_values"):
        return record.foreign(f"{class_name(kind)}.get would run to read {text!r}", run)
    sections, defaults = (_kept(record, parser, attribute, name) for attribute in ("_sections", "_defaults"))
    if not (type(key) is str and type(section) is str and type(sections) is dict and type(defaults) is dict):
        return record.foreign(f"{class_name(kind)}.get would run to read {text!r}", run)
    key = _option_name(record, parser, key, name, run)
    kept = record.look(DictItem(f"{name}[{section!r}]", sections, section))
    if kept is ABSENT and section != _kept(record, parser, "default_section", name):
        raise Absence(KeyError, text_of(section))
    value = record.look(DictItem(text, kept, key)) if type(kept) is dict else ABSENT
    if value is ABSENT:
        value = record.look(DictItem(text, defaults, key))
    if value is ABSENT:
        raise Absence(KeyError, text_of(key))
    interpolation = type(_kept(record, parser, "_interpolation", name))
    mark = _MARKS.get(class_name(interpolation))
    is_known = any(interpolation is static.loaded_class("configparser", one) for one in ("Interpolation", *_MARKS))
    is_plain = value is None or (type(value) is str and (mark is None or mark not in value))
    if not is_known or not is_plain:
        return record.foreign(f"{text!r} is computed from other options", run)
    record.fresh = False
    return value


def _option_name(record: Record, parser: Any, key: str, name: str, run: Callable[[], Any]) -> str:
    own = _kept(record, parser, "optionxform", name)
    if own is str:
        return key
    found = static.find(type(parser), "optionxform")
    base = static.loaded_class("configparser", "RawConfigParser")
    if own is ABSENT and found is not None and found[0] is base:
        return key.lower()
    record.foreign(f"{class_name(type(parser))}.optionxform would run", run)
    return key


def _header(record: Record, message: Any, key: Any, name: str, text: str) -> Any:
    """Return a header of an email message, as it is stored where its policy changes nothing when it is read."""
    policy = _kept(record, message, "policy", name)
    if type(key) is not str:
        return record.foreign(f"{class_name(type(message))}.get would run to read {text!r}", lambda: message[key])
    pair = _pair_of(record, message, key, name)
    record.fresh = False
    return None if pair is None else _header_value(record, policy, pair[1], text, lambda: message[key])


def _pair_of(record: Record, message: Any, key: str, name: str) -> tuple[Any, Any] | None:
    """Return the first header of a message that is called `key`, with its name; None for none."""
    headers = _kept(record, message, "_headers", name)
    for pair in list(record.content(headers, f"{name}._headers")) if type(headers) is list else ():
        if type(pair) is tuple and len(pair) == 2 and type(pair[0]) is str and pair[0].lower() == key.lower():
            return pair
    return None


def _header_value(record: Record, policy: Any, value: Any, text: str, run: Callable[[], Any]) -> Any:
    record.fresh = False
    if type(policy) is static.loaded_class("email._policybase", "Compat32"):
        is_kept = type(value) is not str or not any("\ud800" <= one <= "\udfff" for one in value)
    else:
        is_policy = _is_of(type(policy), "email.policy", "EmailPolicy", "header_fetch_parse")
        is_kept = is_policy and type(value) is not str and static.is_a(value, str)  # made when it was stored
    return value if is_kept else record.foreign(f"{text!r} is parsed each time it is read", run)
