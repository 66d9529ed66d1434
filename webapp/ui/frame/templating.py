"""The Jinja environment of the desk's templates and of its plugins': an undefined name is an error.

An unknown name or attribute raises where a template uses it, instead of drawing nothing. Jinja alone would take an
`AttributeError` raised inside a property for a missing attribute; here it is raised as the bug that it is.
"""

from typing import Any

from flask.sansio.app import App
from flask.templating import Environment
from jinja2 import StrictUndefined


class StrictEnvironment(Environment):
    """Flask's environment, strict. Reads attributes and items as Jinja does; only a failed reading is slower."""

    def __init__(self, app: App, **options: Any) -> None:
        super().__init__(app, undefined=StrictUndefined, **options)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: the attribute, else the item."""
        try:
            return getattr(obj, attribute)
        except AttributeError as error:
            try:
                return obj[attribute]
            except (TypeError, LookupError, AttributeError):
                return self._missing(obj, attribute, error)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, also in filters as `map(attribute=…)`: the item, else the attribute."""
        try:
            return obj[argument]
        except (TypeError, LookupError, AttributeError):
            if not isinstance(argument, str):
                return self.undefined(obj=obj, name=argument)
            try:
                return getattr(obj, argument)
            except AttributeError as error:
                return self._missing(obj, argument, error)

    def _missing(self, obj: Any, name: str, error: AttributeError) -> StrictUndefined:
        """An undefined value; raises `RuntimeError` from the error if the attribute exists and reading it failed.

        It exists if the object's class has it, or if `__getattr__` failed at another name.
        """
        declared = any(name in vars(kind) for kind in type(obj).__mro__)
        if not declared and error.name in (None, name):
            return StrictUndefined(obj=obj, name=name)
        cause = _from_within(obj, name, error) if declared else error
        raise RuntimeError(f"{type(obj).__name__}.{name} could not be read: {cause}") from cause


def _from_within(obj: Any, name: str, error: AttributeError) -> AttributeError:
    """The error that a property raised. If its class has `__getattr__`, Python drops that error and calls
    `__getattr__`.
    """
    if not hasattr(type(obj), "__getattr__"):
        return error
    try:
        object.__getattribute__(obj, name)
    except AttributeError as within:
        return within
    return error
