"""The bundled order actions, in the order of their buttons."""

from plugins.order_actions.address import ChangeAddress
from plugins.order_actions.cancel import CancelOrder, UndoCancel
from plugins.order_actions.comment import CommentOnOrder
from plugins.order_actions.correct import CorrectShipment
from plugins.order_actions.hold import HoldOrder, ReleaseOrder
from plugins.order_actions.invoice import CorrectInvoice, InvoiceOrder
from plugins.order_actions.message import (
    AssignAnswer,
    FinishAnswer,
    MailArrived,
    SendMailAgain,
    UndoMessage,
    WriteToBuyer,
)
from plugins.order_actions.organize import (
    ArchiveOrder,
    AssignOrder,
    RestoreOrder,
    SetDueDate,
    SetStatus,
    TagOrder,
)
from plugins.order_actions.refund import (
    AdoptTransaction,
    ApproveRefund,
    DeclineRefund,
    RefundOrder,
    ReverseMemo,
    UndoRefund,
)
from plugins.order_actions.request_review import RequestReview, StopReview
from plugins.order_actions.returns import (
    AcceptReturn,
    AuthorizeReturn,
    CloseReturn,
    DenyReturn,
    ReceiveReturn,
    RejectReturn,
    ReturnOrder,
)
from plugins.order_actions.ship import ShipOrder
from plugins.order_actions.take_back import TakeBack
from webapp.api import OrderAction, hookimpl, lazy_gettext as _l

LABEL = _l("Order actions")
ABOUT = _l("The actions on orders: ship, invoice, refund, cancel, hold, write to the buyer and more.")
ACTIONS: list[OrderAction] = [
    ShipOrder(),
    HoldOrder(),
    ReleaseOrder(),
    InvoiceOrder(),
    RefundOrder(),
    UndoRefund(),
    ReturnOrder(),
    CancelOrder(),
    UndoCancel(),
    WriteToBuyer(),
    UndoMessage(),
    SendMailAgain(),
    MailArrived(),
    RequestReview(),
    StopReview(),
    FinishAnswer(),
    AssignAnswer(),
    CommentOnOrder(),
    AssignOrder(),
    TagOrder(),
    SetStatus(),
    SetDueDate(),
    ArchiveOrder(),
    RestoreOrder(),
    ChangeAddress(),
    CorrectShipment(),
    TakeBack(),
    ApproveRefund(),
    DeclineRefund(),
    ReverseMemo(),
    CorrectInvoice(),
    AdoptTransaction(),
    AuthorizeReturn(),
    DenyReturn(),
    ReceiveReturn(),
    AcceptReturn(),
    RejectReturn(),
    CloseReturn(),
]


@hookimpl
def register_order_actions() -> list[OrderAction]:
    return ACTIONS
