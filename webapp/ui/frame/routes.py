"""Routes whose addresses are compiled when one is first asked for.

Werkzeug compiles, for every route, two functions that build its address. They take most of the time in which the pages
are registered, in every process of a desk; a command or a worker builds few addresses, and a server some of them.
"""

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule


class LateRule(Rule):
    """A route that compiles what builds its address at the first address, and is otherwise Werkzeug's."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compile_now = super()._compile_builder
        compiled: Callable[..., tuple[str, str]] | None = None

        def build(rule: Rule, /, **values: Any) -> tuple[str, str]:
            nonlocal compiled
            compiled = compiled or compile_now(append_unknown)
            return compiled(rule, **values)

        return build
