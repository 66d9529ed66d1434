"""What plugins registered, and the owner of each thing; and the listeners of a hook.

A hook `register_…` is called once for each set of plugins, and its answers are kept, because things are looked up for
each row of a page. A thing that is not of the type that the hook asks for, or whose code or label can't be read, is
left out and listed among the failures of its plugin.
"""

import traceback
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, TypeVar, cast

from webapp.hooks import failures, hooks
from webapp.i18n import LazyString

T = TypeVar("T")
KNOWS_RIGHT: list[Callable[[str], bool]] = []  # asked of each right that is named; `audit.rights` knows them
RIGHTS = ("right", "undo_right")  # the attributes in which things name rights
OURS = "webapp."  # prefixes of the names of the desk's own modules, under which these are registered


def registered(
    hook: str,
    kind: type[T],
    unique: Callable[[T], Any] | None = None,
    fits: Callable[[T, str], None] | None = None,
    address: Callable[[T], Any] | None = None,
) -> tuple[T, ...]:
    """Everything that `hook` collects, of this type: the desk's own things first, then those of the plugins as loaded.

    Of things with one code, or with one value of `unique` or `address`, the first is kept, except that a plugin may
    replace what the desk has of one code or `address`, where `by_code` or `by_address` asks. `fits` raises for a thing
    that is not possible; it gets the thing and its plugin.
    """
    known = hooks.manager.answers.get(hook)
    if known is None:
        hooks.manager.faults.pop(hook, None)
        taken: dict[Any, str] = {}
        brought = []
        for one in getattr(hooks.manager.hook, hook).get_hookimpls():
            for item, plugin in _ask(hook, one, kind):
                try:
                    if fits is not None:
                        fits(item, plugin)
                    _take(item, plugin, taken, unique, address)
                except Exception as error:
                    fault(plugin, hook, error)
                    continue
                brought.append(item)
        known = hooks.manager.answers[hook] = tuple(brought)
    return cast("tuple[T, ...]", known)


def _take(
    item: T,
    plugin: str,
    taken: dict[Any, str],
    unique: Callable[[T], Any] | None,
    address: Callable[[T], Any] | None,
) -> None:
    """Reserve the key of a thing. Raises `NotTaken` if another thing has it."""
    of = unique or address
    place = of(item) if of is not None else str(getattr(item, "code", ""))
    if place == "":
        return
    first = taken.get(place)
    if first is not None and (unique is not None or not is_ours(first) or is_ours(plugin)):
        raise failures.NotTaken(f"{place} is there already")
    taken[place] = plugin


def fault(plugin: str, hook: str, error: Exception | SystemExit) -> None:
    """Leave out something that a plugin registered, and list it on the page of plugins and in `check`."""
    failures.note(plugin, "registration", hook, error)
    hooks.manager.faults.setdefault(hook, []).append((plugin, failures.describe(error)))


def faults_of(plugin: str) -> list[str]:
    """What was left out of a plugin, each with the hook and the reason."""
    return [f"{hook}: {why}" for hook, found in hooks.manager.faults.items() for owner, why in found if owner == plugin]


def by_code(hook: str, kind: type[T], fits: Callable[[T, str], None] | None = None) -> dict[str, T]:
    """Everything that `hook` brings by its code; of two things with one code the plugin's replaces the desk's own."""
    return {cast("Any", item).code: item for item in registered(hook, kind, fits=fits)}


def by_address(hook: str, kind: type[T], address: Callable[[T], Any]) -> dict[Any, T]:
    """Everything that `hook` brings by its address; of two with one address the plugin's replaces the desk's own."""
    return {address(item): item for item in registered(hook, kind, address=address)}


class OfPlugin:
    """A function that the desk calls for a plugin, or for a part of its own, and that was not registered by itself."""

    def __init__(self, plugin: str, code: str, label: LazyString | str) -> None:
        self.plugin, self.code, self.label = plugin, code, label


class Listener(OfPlugin):
    """A function that a hook calls, of a plugin or of the desk itself."""

    def __init__(self, hook: str, implementation: Any) -> None:
        super().__init__(implementation.plugin_name, hook, hook)
        self._function, self._takes = implementation.function, implementation.argnames
        self._given = getattr(hooks.manager.hook, hook).spec.argnames

    def __call__(self, *facts: Any) -> Any:
        given = dict(zip(self._given, facts, strict=True))
        return self._function(*(given[name] for name in self._takes))  # it may take fewer arguments than the hook gives


def listeners(hook: str) -> tuple[Listener, ...]:
    """Who listens to a hook, in the order in which they are called."""
    known = hooks.manager.answers.get(hook)
    if known is None:
        implementations = getattr(hooks.manager.hook, hook).get_hookimpls()
        known = hooks.manager.answers[hook] = tuple(Listener(hook, one) for one in reversed(implementations))
    return cast("tuple[Listener, ...]", known)


def owner_of(item: object) -> str:
    """The name of the plugin that registered this thing; for the desk's own, the name of one of its modules."""
    if isinstance(item, OfPlugin):
        return item.plugin
    known = hooks.manager.owners.get(id(item))
    return known[1] if known else type(item).__module__


def made_of(source: object, item: T) -> T:
    """This thing, which the desk made of something that a plugin registered: it is that plugin's, as if it had
    registered the thing itself.
    """
    hooks.manager.makers[id(item)] = (item, owner_of(source))
    return item


def plugin_of(error: BaseException) -> str:
    """The plugin whose code raised an error, the innermost; empty if no plugin's code did."""
    known = {_module_of(plugin): name for name, plugin in hooks.manager.list_name_plugin() if not is_ours(name)}
    frames = [frame.f_globals.get("__name__", "") for frame, _line in traceback.walk_tb(error.__traceback__)]
    for module in reversed(frames):
        fitting = [prefix for prefix in known if module == prefix or module.startswith(f"{prefix}.")]
        if fitting:
            return known[max(fitting, key=len)]
    return ""


def _module_of(plugin: object) -> str:
    """The package of a plugin, or its module if it has no package."""
    if isinstance(plugin, ModuleType):
        return plugin.__package__ or plugin.__name__
    return type(plugin).__module__


def is_ours(plugin: str) -> bool:
    """Whether this is a part of the desk itself, not of a plugin."""
    return plugin.startswith(OURS)


def _ask(hook: str, implementation: Any, kind: type[T]) -> list[tuple[T, str]]:
    """What an implementation brings, each thing with the name of the plugin whose it is."""
    plugin, items = implementation.plugin_name, []
    try:
        brought = list(cast("Iterable[object]", implementation.function()))
    except (Exception, SystemExit) as error:
        if failures.is_no_fault(error) and not isinstance(error, SystemExit):
            raise  # collected again at the next use
        fault(plugin, hook, error)
        return []
    for item in brought:
        _made, owner = hooks.manager.makers.get(id(item), (item, plugin))
        try:
            items.append((_checked(item, kind), owner))
        except Exception as error:
            fault(owner, hook, error)
            continue
        hooks.manager.owners[id(item)] = (item, owner)  # holds the thing, so that its id stays its own
    return items


def _checked(item: object, kind: type[T]) -> T:
    """The thing, if it is of this type, its code and label can be read, and the rights that it names are known."""
    if not isinstance(item, kind):
        raise failures.WrongType(item, kind)
    for name in ("code", "label", *RIGHTS):
        if any(name in vars(one) or name in vars(one).get("__annotations__", {}) for one in kind.__mro__):
            word = getattr(item, name)
            if not isinstance(word, (str, LazyString)):
                raise failures.WrongType(word, str)
            if not str(word):
                if getattr(kind, name, None) == "":
                    continue  # the type itself leaves it empty
                raise failures.NotTaken(f"its {name} is empty")
            if name in RIGHTS and not all(knows(str(word)) for knows in KNOWS_RIGHT):
                raise failures.NotTaken(f"there is no right {word}")
    return item
