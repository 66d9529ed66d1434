"""The bundled order actions, in the order of their buttons."""

from plugins.order_actions.comment import CommentOnOrder
from plugins.order_actions.ship import ShipOrder
from webapp.api import OrderAction, hookimpl


@hookimpl
def register_order_actions() -> list[OrderAction]:
    return [ShipOrder(), CommentOnOrder()]
