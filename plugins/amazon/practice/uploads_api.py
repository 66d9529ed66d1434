"""Amazon's path of the Uploads API 2020-11-01, for files of messages to buyers, and the place where they are uploaded.

An address is good for fifteen minutes, and for the very content whose MD5 it was made for.
"""

import base64
import binascii
import hashlib
from secrets import token_hex
from typing import Final

from flask import Blueprint, Response, request, url_for

from plugins.amazon.practice import presigned
from plugins.amazon.practice.api import Answer, ApiError, Call, met
from plugins.amazon.practice.attachments import TAKEN_BY, Attachment
from plugins.amazon.practice.messaging_api import order_of_message
from plugins.amazon.practice.practice import Practice
from plugins.amazon.practice.presigned import DIFFERENT, S3Error

URL_LIFE_MS: Final = 15 * 60 * 1000
PATH: Final = "/uploads/2020-11-01/uploadDestinations/messaging/v1/orders/<order_id>/messages/<kind>"
ENCRYPTION: Final = ("x-amz-server-side-encryption", "aws:kms")


def blueprint(region: str | None) -> Blueprint:
    """The Uploads API for one region's host, or for any."""
    paths = Blueprint(f"uploads_{region or 'any'}", __name__, url_prefix=f"/{region}" if region else None)

    @paths.post(PATH)
    def create_upload_destination(order_id: str, kind: str) -> Response:
        ids = {"orderId": order_id, "kind": kind}
        return met("createUploadDestination", region, lambda call: _create(call, order_id, kind), **ids)

    return paths


def _create(call: Call, order_id: str, kind: str) -> Answer:
    order_of_message(call, order_id, call.now_ms)
    if kind not in TAKEN_BY:
        raise ApiError(400, f"resource: {kind[:40]} takes no attachments.")
    digest = request.args.get("contentMD5", "")
    if not digest:
        raise ApiError(400, "contentMD5: Missing or invalid request parameter: contentMD5")
    content_type = request.args.get("contentType", "")
    id_ = token_hex(16)
    attachment = Attachment(id_, call.seller, order_id, kind, digest, content_type, call.now_ms)
    call.practice.store.keep_attachment(attachment)
    signature = presigned.sign(call.practice, id_, "PUT", call.now_ms + URL_LIFE_MS)
    url = url_for("attachments.content", attachment_id=id_, signature=signature, _external=True)
    headers = {"Content-MD5": digest, ENCRYPTION[0]: ENCRYPTION[1]}
    return {"payload": {"uploadDestinationId": id_, "url": url, "headers": headers}}, 201


attachments = Blueprint("attachments", __name__)


@attachments.put("/attachments/<attachment_id>")
def content(attachment_id: str) -> Response:
    """Take the content of a file."""
    ids = {"uploadDestinationId": attachment_id}
    return presigned.met(
        "uploadAttachment", ids, attachment_id, lambda practice: practice.store.attachment(attachment_id), _upload
    )


def _upload(practice: Practice, attachment: Attachment) -> Response:
    digest = request.headers.get("Content-MD5")
    if digest != attachment.digest or request.headers.get(ENCRYPTION[0]) != ENCRYPTION[1]:
        raise S3Error(403, "SignatureDoesNotMatch", DIFFERENT)
    try:
        expected = base64.b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        expected = b""
    if len(expected) != 16:  # such as the same in hexadecimal digits
        raise S3Error(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
    body = request.get_data()
    if hashlib.md5(body, usedforsecurity=False).digest() != expected:
        raise S3Error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
    practice.store.upload_attachment(attachment.id, body)
    return Response()
