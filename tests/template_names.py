"""The names that a template uses, in any branch, with the templates that it extends, includes and imports.

So a view that a test draws once is known to give every name that any branch of its templates uses, also in branches
that no test reaches. A name that a template only checks by `is defined` or `default` may be left out.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, nodes
from jinja2.compiler import Frame
from jinja2.meta import TrackingCodeGenerator


def left_out(environment: Environment, template: str, context: Mapping[str, Any]) -> set[str]:
    """The names that the template uses and that neither the context nor the template itself defines."""
    read = _read(environment, template)
    used = set(read.used)
    for expression, around in read.included:
        for name in _templates(environment, expression, context):
            used |= left_out(environment, name, context) - around
    for expression in read.extended:
        for name in _templates(environment, expression, context):
            used |= left_out(environment, name, context)
    for name in read.imported:
        used |= left_out(environment, name, {})  # macros see no context
    return used - read.own - context.keys()


@dataclass(frozen=True)
class _Read:
    """What one template contains: names that it uses but does not set around the use; its own names; its templates,
    each included one with the names that are set around it.
    """

    used: Collection[str]
    own: Collection[str]
    included: Collection[tuple[nodes.Expr, set[str]]]
    extended: Collection[nodes.Expr]
    imported: Collection[str]


class _Names(TrackingCodeGenerator):
    """Jinja's own finder of undeclared names, which also records what is set around each include."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.included: list[tuple[nodes.Expr, set[str]]] = []

    def visit_Include(self, node: nodes.Include, frame: Frame) -> None:
        self.included.append((node.template, set(frame.symbols.dump_stores())))
        super().visit_Include(node, frame)


@cache
def _read(environment: Environment, name: str) -> _Read:
    assert environment.loader
    tree = environment.parse(environment.loader.get_source(environment, name)[0])
    names = _Names(environment)
    names.visit(tree)
    imports = list(tree.find_all((nodes.Import, nodes.FromImport)))
    assert all(isinstance(node.template, nodes.Const) and not node.with_context for node in imports), name
    extended = [node.template for node in tree.find_all(nodes.Extends)]
    libraries = [node.template.value for node in imports]
    return _Read(names.undeclared_identifiers - _optional(tree), _own(tree), names.included, extended, libraries)


def _optional(tree: nodes.Template) -> set[str]:
    """Names that a template only checks for being given."""
    asked = [node.node for node in tree.find_all((nodes.Test, nodes.Filter)) if node.name in ("defined", "default")]
    used = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load" and node not in asked}
    return {node.name for node in asked if isinstance(node, nodes.Name)} - used


def _own(tree: nodes.Template) -> set[str]:
    """Names that the template sets anywhere, or declares at its head for all its blocks and for the template it
    extends.
    """
    own: set[str] = set()
    for node in tree.find_all((nodes.Assign, nodes.AssignBlock)):
        own |= {name.name for name in (node.target, *node.target.find_all(nodes.Name)) if isinstance(name, nodes.Name)}
    for node in tree.body:
        if isinstance(node, nodes.Macro):
            own.add(node.name)
        elif isinstance(node, nodes.FromImport):
            own |= {name if isinstance(name, str) else name[1] for name in node.names}
    return own


def _templates(environment: Environment, expression: nodes.Expr, context: Mapping[str, Any]) -> Iterator[str]:
    """The templates that an expression names in this context."""
    parts = expression.nodes if isinstance(expression, nodes.Concat) else [expression]
    yield "".join(part.value if isinstance(part, nodes.Const) else context[part.name] for part in parts)
