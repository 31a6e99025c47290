"""A custom Lambda runtime for tests. The event says what the function does.

"do" is "sleep" (for `seconds`), "exit" (with `code`), "fail" (report an error), "print" (a `text`) or "big"
(respond with `size` bytes). The function then appends its pid to `file`, fails if `then_fail` is set, and
responds with its pid, its environment and the headers of the event, in chunks if `chunked` is set.
The variable INIT (exit, error or hang) makes the initialisation fail. EVENTS is a file to which the
function appends each event as a line.
"""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

BASE = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"


def post(path: str, body: object, chunked: bool = False) -> None:
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{BASE}/{path}", iter([data[:10], data[10:]]) if chunked else data)
    urllib.request.urlopen(request).read()


def serve(event: Any, headers: Mapping[str, str]) -> object:
    if "EVENTS" in os.environ:
        with open(os.environ["EVENTS"], "a") as file:
            file.write(json.dumps(event) + "\n")
    do = event.get("do", "echo")
    if do == "sleep":
        time.sleep(event["seconds"])
    elif do == "exit":
        print("about to exit", flush=True)
        os._exit(event.get("code", 1))
    elif do == "fail":
        raise RuntimeError("told to fail")
    elif do == "print":
        print(event["text"], flush=True)
    elif do == "big":
        return "x" * event["size"]
    if "file" in event:
        with open(event["file"], "a") as file:
            file.write(f"{os.getpid()}\n")
        if event.get("then_fail"):
            raise RuntimeError("told to fail")
    return {"pid": os.getpid(), "env": dict(os.environ), "headers": headers, "now_ms": time.time() * 1000}


def main() -> None:
    how = os.environ.get("INIT")
    if how == "exit":
        print("no start today", flush=True)
        sys.exit(3)
    if how == "error":
        post("init/error", {"errorType": "Init.Broken", "errorMessage": "no database"})
        sys.exit(1)
    if how == "hang":
        time.sleep(1000)
    while True:
        with urllib.request.urlopen(f"{BASE}/invocation/next") as answer:
            event, headers = json.loads(answer.read()), dict(answer.headers)
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            result = serve(event, headers)
        except RuntimeError as error:
            post(f"invocation/{request_id}/error", {"errorType": "App.Error", "errorMessage": str(error)})
        else:
            post(f"invocation/{request_id}/response", result, event.get("chunked", False))


main()
