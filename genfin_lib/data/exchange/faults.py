"""What goes wrong between an exchange and its client, one small function each.

A fault takes the request handler and the answer that would have been right, and sends something
else.
"""

import json
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from itertools import repeat
from typing import Any

Fault = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


def send(handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200) -> None:
    """A whole HTTP answer.

    Args:
        handler: Of the request that is answered.
        body: JSON.
        status: Of HTTP.
    """
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _status(status: int, text: str) -> Fault:
    return lambda handler, answer: send(handler, text.encode(), status=status)


def _code(code: int, message: str) -> Fault:
    """HTTP 200 that says no: Bybit's own error codes."""
    body = {"retCode": code, "retMsg": message, "result": {}}
    return lambda handler, answer: send(handler, json.dumps(body).encode())


def _body(change: Callable[[bytes], bytes]) -> Fault:
    return lambda handler, answer: send(handler, change(json.dumps(answer).encode()))


def _rows(change: Callable[[list], list]) -> Fault:
    """A well-formed answer with other rows."""

    def fault(handler: BaseHTTPRequestHandler, answer: dict[str, Any]) -> None:
        result = answer["result"]
        changed = {**answer, "result": {**result, "list": change(list(result.get("list", [])))}}
        send(handler, json.dumps(changed).encode())

    return fault


def _reset(handler: BaseHTTPRequestHandler, answer: dict[str, Any]) -> None:
    """Close with RST in the middle of the body."""
    body = json.dumps(answer).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def _silence(handler: BaseHTTPRequestHandler, answer: dict[str, Any]) -> None:
    time.sleep(getattr(handler.server, "patience", 1.0))
    handler.close_connection = True


def _drip(handler: BaseHTTPRequestHandler, answer: dict[str, Any]) -> None:
    """A byte now and then, each in time for the timeout of the socket."""
    patience = getattr(handler.server, "patience", 1.0)
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        for _ in range(40):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(patience / 10)
    except OSError:
        pass  # the client has had enough, as it should
    handler.close_connection = True


FAULTS: dict[str, Fault] = {
    "HTTP 500": _status(500, "internal error"),
    "HTTP 502": _status(502, "<html>bad gateway</html>"),
    "HTTP 429": _status(429, "too many requests"),
    "code 10006, rate limit": _code(10006, "Too many visits!"),
    "code 10018, rate limit of the address": _code(10018, "Out of frequency limit of IP"),
    "code 10016, server error": _code(10016, "Server error"),
    "JSON cut short": _body(lambda body: body[: len(body) // 2]),
    "empty body": _body(lambda body: b""),
    "HTML instead of JSON": _body(lambda body: b"<html>maintenance</html>"),
    "connection reset": _reset,
    "silence": _silence,
    "slow drip": _drip,
    "page without its newest half": _rows(lambda rows: rows[len(rows) // 2 :]),
    "page without its oldest half": _rows(lambda rows: rows[: len(rows) // 2]),
    "page with a hole": _rows(lambda rows: rows[: len(rows) // 3] + rows[len(rows) // 2 :]),
    "page without rows": _rows(lambda rows: []),
    "rows sent twice": _rows(lambda rows: [row for row in rows for _ in (0, 1)][: len(rows)]),
    "rows in no order": _rows(lambda rows: random.Random(0).sample(rows, len(rows))),
}
REFUSALS: dict[str, Fault] = {
    "HTTP 403, too frequent": _status(403, "403, access too frequent"),
    "HTTP 403, country blocked": _status(403, "The distribution is configured to block access"),
}


def each_once(fault: Fault, *, after: int = 1) -> Iterator[Fault | None]:
    """Right answers, one fault, and right answers for ever.

    Args:
        fault: What goes wrong, once.
        after: How many right answers come first.
    """
    yield from repeat(None, after)
    yield fault
    yield from repeat(None)


def at_random(share: float, *, seed: int) -> Iterator[Fault | None]:
    """Any of `FAULTS` at each request with probability `share`, on the schedule of `seed`."""
    rng = random.Random(seed)
    kinds = list(FAULTS.values())
    while True:
        yield rng.choice(kinds) if rng.random() < share else None
