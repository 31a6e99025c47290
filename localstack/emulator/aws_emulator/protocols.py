"""Operation names and response formats of the AWS protocols."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

CBOR_PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)$")
# A Lambda request does not name its operation: the method and the path identify it.
LAMBDA = [
    (method, re.compile(pattern), name)
    for method, pattern, name in (
        ("POST", r"/2015-03-31/functions/[^/]+/invocations", "Invoke"),
        ("POST", r"/2015-03-31/functions", "CreateFunction"),
        ("GET", r"/2015-03-31/functions", "ListFunctions"),
        ("GET", r"/2015-03-31/functions/[^/]+", "GetFunction"),
        ("DELETE", r"/2015-03-31/functions/[^/]+", "DeleteFunction"),
        ("GET", r"/2015-03-31/functions/[^/]+/configuration", "GetFunctionConfiguration"),
        ("PUT", r"/2015-03-31/functions/[^/]+/configuration", "UpdateFunctionConfiguration"),
        ("PUT", r"/2015-03-31/functions/[^/]+/code", "UpdateFunctionCode"),
        ("POST", r"/2015-03-31/functions/[^/]+/versions", "PublishVersion"),
        ("POST", r"/2015-03-31/functions/[^/]+/aliases", "CreateAlias"),
        ("GET", r"/2015-03-31/functions/[^/]+/aliases/[^/]+", "GetAlias"),
        ("PUT", r"/2017-10-31/functions/[^/]+/concurrency", "PutFunctionConcurrency"),
        ("PUT", r"/2019-09-25/functions/[^/]+/event-invoke-config", "PutFunctionEventInvokeConfig"),
        ("GET", r"/2019-09-25/functions/[^/]+/event-invoke-config", "GetFunctionEventInvokeConfig"),
    )
]
# Nor does an S3 request. The path is `/bucket` or `/bucket/key`: the emulator's endpoint is an IP address,
# so clients don't put the bucket into the host name. The scope of the signature names the service.
S3_SCOPE = re.compile(r"/s3/aws4_request|%2Fs3%2Faws4_request")
S3 = {
    ("PUT", False): "CreateBucket",
    ("GET", False): "ListObjectsV2",
    ("HEAD", False): "HeadBucket",
    ("PUT", True): "PutObject",
    ("GET", True): "GetObject",
    ("HEAD", True): "HeadObject",
    ("DELETE", True): "DeleteObject",
}


@dataclass(frozen=True)
class Operation:
    """The operation of a request, and its protocol: json, cbor, rest-json, rest-xml or query."""

    name: str
    protocol: str


def operation(method: str, path: str, headers: Mapping[str, str], query: str, body: bytes) -> Operation:
    """Identify the operation of a request."""
    if S3_SCOPE.search(headers.get("authorization", "") or query):
        has_key = "/" in path.strip("/")
        return Operation(S3.get((method, has_key), f"{method} {path}"), "rest-xml")
    target = headers.get("x-amz-target", "")
    if target:
        return Operation(target.rsplit(".", 1)[-1], "json")
    cbor = CBOR_PATH.search(path)
    if cbor:
        return Operation(cbor.group(2), "cbor")
    form = body.decode(errors="replace") if headers.get("content-type", "").startswith("application/x-www-form") else ""
    action = parse_qs(form or query).get("Action")
    if action:
        return Operation(action[0], "query")
    for wanted, pattern, name in LAMBDA:
        if method == wanted and pattern.fullmatch(path.rstrip("/")):
            return Operation(name, "rest-json")
    return Operation(f"{method} {path}", "rest-json")


def error(protocol: str, kind: str, message: str) -> tuple[dict[str, str], bytes]:
    """The headers and the body of an error response."""
    body = {"__type": kind, "message": message}
    if protocol == "query":
        xml = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(kind)}</Code>"
            f"<Message>{escape(message)}</Message></Error></ErrorResponse>"
        )
        return {"content-type": "text/xml"}, xml.encode()
    if protocol == "rest-xml":
        xml = f"<Error><Code>{escape(kind)}</Code><Message>{escape(message)}</Message></Error>"
        return {"content-type": "application/xml"}, xml.encode()
    headers, encoded = success(protocol, body)
    if protocol == "rest-json":
        headers["x-amzn-errortype"] = kind
    return headers, encoded


def success(protocol: str, body: Any) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a response."""
    if protocol == "cbor":
        import cbor2

        return {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, cbor2.dumps(body)
    if isinstance(body, str) and protocol in ("query", "rest-xml"):
        return {"content-type": "text/xml"}, body.encode()
    kind = "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"
    return {"content-type": kind}, json.dumps(body).encode()
