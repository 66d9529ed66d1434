"""Amazon's paths of the Feeds API, and the place behind its URLs where documents are uploaded and downloaded.

A document's URL works like a presigned one: it is good for one method and five minutes, without any other sign-in.
"""

from typing import Any, Final

from flask import Blueprint, Response, request, url_for

from plugins.amazon.practice import presigned, tokens, vat_invoices
from plugins.amazon.practice.api import (
    PAGE_TOKEN_LIFE_MS,
    Answer,
    ApiError,
    Call,
    listed,
    met,
    moment,
)
from plugins.amazon.practice.feed_life import STATUSES, Document
from plugins.amazon.practice.feed_messages import TYPES
from plugins.amazon.practice.feeds import (
    KEPT_MS,
    FeedQuery,
    NotTaken,
    cancel_feed,
    create_document,
    create_feed,
    find_feed,
    find_report,
    list_feeds,
)
from plugins.amazon.practice.marketplaces import BY_ID
from plugins.amazon.practice.practice import Practice
from plugins.amazon.practice.presigned import DIFFERENT, S3Error

URL_LIFE_MS: Final = 5 * 60 * 1000
ROOT: Final = "/feeds/2021-06-30"
FEED_TYPES: Final = (*TYPES, vat_invoices.TYPE)


def blueprint(region: str | None) -> Blueprint:
    """The Feeds API for one region's host, or for any."""
    paths = Blueprint(f"feeds_{region or 'any'}", __name__, url_prefix=f"/{region}{ROOT}" if region else ROOT)

    @paths.post("/documents")
    def create_feed_document() -> Response:
        return met("createFeedDocument", region, _create_document)

    @paths.get("/documents/<document_id>")
    def get_feed_document(document_id: str) -> Response:
        ids = {"feedDocumentId": document_id}
        return met("getFeedDocument", region, lambda call: _get_document(call, document_id), **ids)

    @paths.post("/feeds")
    def post_feed() -> Response:
        return met("createFeed", region, _create_feed)

    @paths.get("/feeds")
    def get_feeds() -> Response:
        return met("getFeeds", region, _get_feeds)

    @paths.get("/feeds/<feed_id>")
    def get_feed(feed_id: str) -> Response:
        return met("getFeed", region, lambda call: _get_feed(call, feed_id), feedId=feed_id)

    @paths.delete("/feeds/<feed_id>")
    def delete_feed(feed_id: str) -> Response:
        return met("cancelFeed", region, lambda call: _cancel_feed(call, feed_id), feedId=feed_id)

    return paths


def _body() -> dict[str, Any]:
    if not request.is_json:
        raise ApiError(415, "Content-Type must be application/json.", code="UnsupportedMediaType")
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise ApiError(400)
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ApiError(400, f"{name} is missing or not a text.")
    return value


def _create_document(call: Call) -> Answer:
    document = create_document(call.practice, call.seller, _text(_body(), "contentType"))
    return {"feedDocumentId": document.id, "url": _url(call.practice, document, "PUT", call.now_ms)}, 201


def _create_feed(call: Call) -> Answer:
    body = _body()
    feed_type, document = _text(body, "feedType"), _text(body, "inputFeedDocumentId")
    if feed_type not in FEED_TYPES:
        raise ApiError(400, f"Feed type {feed_type[:80]} is not valid.")
    ids = body.get("marketplaceIds")
    if not isinstance(ids, list) or not 1 <= len(ids) <= 25 or not all(isinstance(id, str) for id in ids):
        raise ApiError(400, "marketplaceIds must hold 1 to 25 marketplace ids.")
    for id in ids:
        if id not in BY_ID or BY_ID[id].region != call.region or not BY_ID[id].weight:
            raise ApiError(400, f"Marketplace id {id[:40]} is not valid for this seller.")
    options = body.get("feedOptions", {})
    if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
        raise ApiError(400, "feedOptions must be an object of texts.")
    try:
        feed = create_feed(call.practice, call.seller, feed_type, list(dict.fromkeys(ids)), document, options)
    except NotTaken as refused:
        raise ApiError(400, str(refused)) from None
    return {"feedId": feed.id}, 202


def _get_feed(call: Call, feed_id: str) -> Answer:
    at_ms = call.now_ms - call.stale_ms
    feed = find_feed(call.practice, call.seller, feed_id, at_ms)
    if feed is None:
        raise ApiError(404)
    return feed.answer(at_ms), 200


def _get_feeds(call: Call) -> Answer:
    practice, now, after = call.practice, call.now_ms, None
    if text := request.args.get("nextToken"):
        if len(request.args) > 1:
            raise ApiError(400, "nextToken cannot be combined with other parameters.")
        token = tokens.read(practice, "feeds", text)
        if token is None or token["seller"] != call.seller or now > token["at"] + PAGE_TOKEN_LIFE_MS:
            raise ApiError(400, "The nextToken you have submitted is not valid.")
        query, after = FeedQuery(**token["query"]), (token["after"][0], token["after"][1])
    else:
        query = _query(now)
    feeds, following = list_feeds(practice, call.seller, query, now - call.stale_ms, after)
    answers = [feed.answer(now - call.stale_ms) for feed in feeds]
    if call.fault and call.fault.kind == "repeat" and answers:
        answers.append(answers[0])
    body: dict[str, Any] = {"feeds": answers}
    if following:
        values = {"query": vars(query), "seller": call.seller, "at": now, "after": following}
        body["nextToken"] = tokens.sign(practice, "feeds", values)
    return body, 200


def _query(now: int) -> FeedQuery:
    types = listed("feedTypes", FEED_TYPES)
    if not types:
        raise ApiError(400, "Either feedTypes or nextToken is required.")
    size = request.args.get("pageSize", "10")
    if not (size.isascii() and size.isdigit()) or not 1 <= int(size) <= 100:
        raise ApiError(400, "pageSize must be between 1 and 100.")
    return FeedQuery(
        types=types,
        since_ms=moment("createdSince") if "createdSince" in request.args else now - KEPT_MS,
        until_ms=moment("createdUntil") if "createdUntil" in request.args else now,
        marketplaces=listed("marketplaceIds", tuple(BY_ID)),
        statuses=listed("processingStatuses", STATUSES),
        limit=int(size),
    )


def _cancel_feed(call: Call, feed_id: str) -> Answer:
    try:
        if not cancel_feed(call.practice, call.seller, feed_id):
            raise ApiError(404)
    except NotTaken as refused:
        raise ApiError(400, str(refused)) from None
    return None, 200


def _get_document(call: Call, document_id: str) -> Answer:
    document = find_report(call.practice, call.seller, document_id, call.now_ms - call.stale_ms)
    if document is None:
        raise ApiError(404)
    body = {"feedDocumentId": document.id, "url": _url(call.practice, document, "GET", call.now_ms)}
    return body | ({"compressionAlgorithm": document.compression} if document.compression else {}), 200


# --- The place of the documents -------------------------------------------------------------------------------------

documents = Blueprint("documents", __name__)


def _url(practice: Practice, document: Document, method: str, now: int) -> str:
    """An address of a document for this method, good for five minutes."""
    signature = presigned.sign(practice, document.id, method, now + URL_LIFE_MS)
    return url_for("documents.content", document_id=document.id, signature=signature, _external=True)


@documents.route("/feed-documents/<document_id>", methods=["GET", "PUT"])
def content(document_id: str) -> Response:
    """Take or give a document's content."""
    work = _upload if request.method == "PUT" else _download
    operation = "upload" if request.method == "PUT" else "download"
    ids = {"feedDocumentId": document_id}
    return presigned.met(operation, ids, document_id, lambda practice: practice.store.document(document_id), work)


def _upload(practice: Practice, document: Document) -> Response:
    if request.headers.get("Content-Type") != document.content_type:
        raise S3Error(403, "SignatureDoesNotMatch", DIFFERENT)
    practice.store.upload(document.id, request.get_data())
    return Response()


def _download(practice: Practice, document: Document) -> Response:
    return Response(document.body, content_type=document.content_type)
