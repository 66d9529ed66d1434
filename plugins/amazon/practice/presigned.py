"""The place behind the addresses that Amazon gives for files: each is good for one file, one method and some time,
without any other sign-in, and has no token bucket.
"""

from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Final, Protocol, TypeVar
from xml.sax.saxutils import escape

from flask import Response, request

from plugins.amazon.practice import tokens
from plugins.amazon.practice.api import HTML_503, the_practice
from plugins.amazon.practice.faults import Fault
from plugins.amazon.practice.practice import Practice

S3_ERROR: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request}</RequestId></Error>"
)
DIFFERENT: Final = "The request signature we calculated does not match the signature you provided."
EXPIRED: Final = "Request has expired"
UNSIGNED: Final = "There were headers present in the request which were not signed"
S3_CODES: Final = {400: "BadRequest", 403: "AccessDenied", 404: "NoSuchKey", 429: "SlowDown", 500: "InternalError"}


class Stored(Protocol):
    """What is stored at such an address."""

    @property
    def seller(self) -> str: ...


F = TypeVar("F", bound=Stored)


class S3Error(Exception):
    """An answer in the error form of this place."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def sign(practice: Practice, name: str, method: str, until_ms: int) -> str:
    """The signature of an address: good for the file of this name, this method, and until then."""
    return tokens.sign(practice, "place", {"name": name, "method": method, "until": until_ms})


def met(
    operation: str,
    ids: Mapping[str, str],
    name: str,
    find: Callable[[Practice], F | None],
    work: Callable[[Practice, F], Response],
) -> Response:
    """Answer one call: record it with these ids, apply its fault, do it with the file of this name."""
    practice = the_practice()
    number = practice.store.call(practice.now_ms(), operation, None, dict(ids))
    fault = practice.faults.next(operation)
    if fault and fault.kind == "slow":
        practice.wait(fault.seconds)
    file = None
    response = _broken(fault) if fault and fault.when == "before" else None
    if response is None:
        try:
            _check(practice, name)
            file = find(practice)
            if file is None:
                raise S3Error(404, "NoSuchKey", "The specified key does not exist.")
            response = work(practice, file)
        except S3Error as error:
            response = _error(error.status, error.code, str(error))
    if fault and fault.when == "after":
        response = _broken(fault) or response
    if fault and fault.kind == "garbage":
        response.data = response.data[: len(response.data) // 2]
    dropped = fault is not None and fault.kind == "drop"
    seller, status = file.seller if file else None, None if dropped else response.status_code
    practice.store.answered(number, seller, status, fault.kind if fault else None)
    if dropped:
        raise ConnectionAbortedError("dropped on purpose")
    return response


def _check(practice: Practice, name: str) -> None:
    """Raise S3Error unless the request is what its address was signed for."""
    values = tokens.read(practice, "place", request.args.get("signature", ""))
    if values is None or (values["name"], values["method"]) != (name, request.method):
        raise S3Error(403, "SignatureDoesNotMatch", DIFFERENT)
    if practice.now_ms() > values["until"]:
        raise S3Error(403, "AccessDenied", EXPIRED)
    if "x-amz-access-token" in request.headers:
        raise S3Error(403, "AccessDenied", UNSIGNED)


def _broken(fault: Fault) -> Response | None:
    """The answer that a fault gives instead; of a dropped connection nobody will see it."""
    if fault.kind == "503":
        return Response(HTML_503, 503, content_type="text/html")
    if fault.kind == "expired":
        return _error(403, "AccessDenied", EXPIRED)
    if fault.kind.isdigit():
        return _error(int(fault.kind), S3_CODES[int(fault.kind)], "The request was refused on purpose.")
    return Response() if fault.kind == "drop" else None


def _error(status: int, code: str, message: str) -> Response:
    text = S3_ERROR.format(code=code, message=escape(message), request=token_hex(8).upper())
    return Response(text, status, content_type="application/xml")
