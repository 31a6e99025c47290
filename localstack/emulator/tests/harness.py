"""One emulator for all tests, and a small client for the AWS protocols."""

from __future__ import annotations

import atexit
import base64
import http.client
import io
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

START = Path(__file__).resolve().parent.parent / "start.py"
BOOTSTRAP = Path(__file__).resolve().parent / "bootstrap.py"
# How long a test waits for a condition. The limit is long because only failing tests reach it.
PATIENCE = 30.0

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
SHELL = {"entrypoint": ["/bin/sh", "-c"], "cmd": ["exit 0"], "env": {"FROM_IMAGE": "image"}}
IMAGES: dict[str, Any] = {
    "shell:1": SHELL,
    "slow:1": {**SHELL, "pull_ms": 60_000},
    "missing-program:1": {"entrypoint": ["/nowhere/program"]},
    "function:1": {"entrypoint": [sys.executable, str(BOOTSTRAP)], "env": {"FROM_IMAGE": "image"}},
}


class Emulator:
    """One emulator process."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="emulator-test-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.images = self.folder / "images.json"
        self.images.write_text(json.dumps(IMAGES))
        self.process = subprocess.Popen(
            [sys.executable, str(START), "--images", str(self.images), "--dir", str(self.folder / "run")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        self.first_line = self.process.stdout.readline()
        self.endpoint = str(json.loads(self.first_line)["endpoint"])

    def close(self) -> int:
        """Close the emulator's stdin, wait for it, and return its exit code."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code


class Answer:
    """An HTTP response."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)


class AwsError(Exception):
    """An error response of AWS."""

    def __init__(self, answer: Answer) -> None:
        said = answer.json()
        self.status = answer.status
        self.kind = str(said["__type"]).rsplit("#", 1)[-1]
        self.message = said.get("message", "")
        self.body = said
        super().__init__(f"{self.kind}: {self.message}")


_accounts = itertools.count(1)
_emulator: list[Emulator] = []


def emulator() -> Emulator:
    """The emulator that all tests share."""
    if not _emulator:
        _emulator.append(Emulator())
        atexit.register(_emulator[0].close)
    return _emulator[0]


class Client:
    """Sends requests for one account."""

    def __init__(self, endpoint: str, account: str | None = None) -> None:
        self.endpoint = endpoint
        self.account = account or f"{next(_accounts):012d}"

    def request(self, method: str, path: str, body: bytes = b"", service: str = "lambda", **headers: str) -> Answer:
        """Send a request."""
        credential = f"{self.account}/20260101/us-east-1/{service}/aws4_request"
        request = urllib.request.Request(
            self.endpoint + path,
            body or None,
            {
                "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def ecs(self, action: str, **body: Any) -> Any:
        """Call an ECS operation. Raises AwsError."""
        return self.json("ecs", "AmazonEC2ContainerServiceV20141113", action, body)

    def logs(self, action: str, **body: Any) -> Any:
        """Call a CloudWatch Logs operation. Raises AwsError."""
        return self.json("logs", "Logs_20140328", action, body)

    def json(self, service: str, target: str, action: str, body: Any) -> Any:
        """Call an operation of the JSON 1.1 protocol. Raises AwsError."""
        answer = self.request(
            "POST",
            "/",
            json.dumps(body).encode(),
            service,
            X_Amz_Target=f"{target}.{action}",
            Content_Type="application/x-amz-json-1.1",
        )
        if answer.status != 200:
            raise AwsError(answer)
        return answer.json()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to one of the emulator's control paths."""
        answer = self.request(
            method, f"{path}?account={self.account}", b"" if body is None else json.dumps(body).encode()
        )
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body.decode()}")
        return answer.json()

    def fault(self, **rule: Any) -> None:
        """Add a fault for this account only."""
        self.control("POST", "/_faults", [{"account": self.account, **rule}])

    # Tasks.

    def prepare(self, image: str = "shell:1", cluster: str = "c", **container: Any) -> None:
        """Create a cluster and a task definition `family` with one container `app`."""
        self.ecs("CreateCluster", clusterName=cluster, capacityProviders=["FARGATE", "FARGATE_SPOT"])
        self.register(containerDefinitions=[{"name": "app", "image": image, **container}])

    def register(self, **fields: Any) -> Any:
        """Register a task definition for Fargate."""
        return self.ecs(
            "RegisterTaskDefinition",
            **{
                "family": "family",
                "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"],
                "cpu": "256",
                "memory": "512",
                "containerDefinitions": [{"name": "app", "image": "shell:1"}],
                **fields,
            },
        )

    def run(self, script: str | None = None, **fields: Any) -> str:
        """Run a task that executes a shell script. Returns the task's ARN."""
        overrides = {} if script is None else {"containerOverrides": [{"name": "app", "command": [script]}]}
        return str(self.run_task(**{"overrides": overrides, **fields})["tasks"][0]["taskArn"])

    def run_task(self, **fields: Any) -> Any:
        """Call RunTask with defaults, which `fields` override. A field that is None is left out."""
        request = {
            "cluster": "c",
            "taskDefinition": "family",
            "launchType": "FARGATE",
            "networkConfiguration": NETWORK,
            **fields,
        }
        return self.ecs("RunTask", **{name: value for name, value in request.items() if value is not None})

    def task(self, arn: str, **fields: Any) -> Any:
        """Describe one task."""
        return self.ecs("DescribeTasks", cluster="c", tasks=[arn], **fields)["tasks"][0]

    def until(self, arn: str, status: str) -> Any:
        """Wait until the task has this status. Returns the task."""
        return wait(
            lambda: (lambda task: task if task["lastStatus"] == status else None)(self.task(arn)),
            f"{arn} to be {status}",
        )

    def log(self, arn: str) -> str:
        """The output of a task so far."""
        path = emulator().folder / "run" / arn.rsplit("/", 1)[-1] / "log"
        return path.read_text() if path.exists() else ""

    # Functions.

    def create_function(self, name: str = "f", image: str | None = "function:1", **fields: Any) -> None:
        """Create a function with an image, or with the test bootstrap as its code."""
        what: dict[str, Any] = {"PackageType": "Image", "Code": {"ImageUri": image}}
        if image is None:
            what = {"Runtime": "provided.al2023", "Handler": "bootstrap", "Code": {"ZipFile": bootstrap_zip()}}
        answer = self.request(
            "POST",
            "/2015-03-31/functions",
            json.dumps({"FunctionName": name, "Role": "arn:aws:iam::000000000000:role/r", **what, **fields}).encode(),
            Content_Type="application/json",
        )
        if answer.status != 201:
            raise AwsError(answer)

    def invoke(self, event: Any, name: str = "f", **headers: str) -> Answer:
        """Invoke a function."""
        return self.request("POST", f"/2015-03-31/functions/{name}/invocations", json.dumps(event).encode(), **headers)


def bootstrap_zip() -> str:
    """The test bootstrap as a deployment package."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o755 << 16
        archive.writestr(info, f"#!{sys.executable}\n" + BOOTSTRAP.read_text())
    return base64.b64encode(packed.getvalue()).decode()


def wait(what: Callable[[], Any], name: str) -> Any:
    """Wait until `what` returns something true, and return that."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = what()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE} s for {name}")


def alive(pid: int) -> bool:
    """Whether a process is running; a zombie is not."""
    return state(pid) not in ("", "Z", "X")


def state(pid: int) -> str:
    """The state of a process as one letter, or an empty string."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return ""


class Case(unittest.TestCase):
    """A test with its own account."""

    def setUp(self) -> None:
        self.aws = Client(emulator().endpoint)

    def rejected(self, kind: str, call: Callable[[], Any]) -> AwsError:
        """Check that a call fails with an error of this kind."""
        with self.assertRaises(AwsError) as caught:
            call()
        self.assertEqual(caught.exception.kind, kind, str(caught.exception))
        return caught.exception

    def cut_off(self, call: Callable[[], Any]) -> None:
        """Check that a call gets no response."""
        with self.assertRaises((ConnectionError, http.client.HTTPException, urllib.error.URLError)):
            call()
