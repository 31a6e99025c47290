"""Lambda invocations, on real processes."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .harness import Answer, Case, alive, emulator, state, wait


class Invocations(Case):
    def ok(self, answer: Answer) -> Any:
        self.assertEqual(answer.status, 200)
        self.assertIsNone(answer.headers.get("X-Amz-Function-Error"), answer.body)
        return answer.json()

    def failed(self, answer: Answer) -> Any:
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers.get("X-Amz-Function-Error"), "Unhandled", answer.body)
        return answer.json()

    def environments(self) -> list[Any]:
        environments: list[Any] = self.aws.control("GET", "/_running")["environments"]
        return environments

    def put(self, path: str, body: Any) -> None:
        answer = self.aws.request("PUT", path, json.dumps(body).encode(), Content_Type="application/json")
        self.assertEqual(answer.status, 200, answer.body)

    def publish_as_live(self) -> None:
        """Publish version 1 of the function, and the alias `live` for it."""
        json_body = {"Content_Type": "application/json"}
        self.aws.request("POST", "/2015-03-31/functions/f/versions", b"{}", **json_body)
        alias = json.dumps({"Name": "live", "FunctionVersion": "1"}).encode()
        self.aws.request("POST", "/2015-03-31/functions/f/aliases", alias, **json_body)

    def scratch(self) -> Path:
        return emulator().folder / f"scratch-{self.aws.account}"

    def pids(self) -> list[int]:
        path = self.scratch()
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def concurrently(self, count: int, event: Any) -> list[Answer]:
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(self.aws.invoke(event))) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


class Environments(Invocations):
    def test_a_function_gets_only_its_own_variables(self) -> None:
        self.aws.create_function(Environment={"Variables": {"MINE": "1"}}, MemorySize=512)
        env = self.ok(self.aws.invoke({}))["env"]
        self.assertEqual((env["MINE"], env["FROM_IMAGE"]), ("1", "image"))
        self.assertEqual(
            (
                env["AWS_LAMBDA_FUNCTION_NAME"],
                env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
                env["AWS_LAMBDA_FUNCTION_VERSION"],
                env["AWS_REGION"],
            ),
            ("f", "512", "$LATEST", "us-east-1"),
        )
        self.assertEqual((env["AWS_ENDPOINT_URL"], env["AWS_ACCESS_KEY_ID"]), (emulator().endpoint, self.aws.account))
        self.assertEqual(set(env) & {"GATEWAY_PORT", "PYTHONPATH", "TMPDIR", "LOG_LEVEL", "HOME"}, set())

    def test_a_zip_with_a_bootstrap_runs(self) -> None:
        self.aws.create_function(image=None)
        first, second = (self.ok(self.aws.invoke({}))["pid"] for _ in range(2))
        self.assertEqual(first, second)

    def test_a_response_may_be_chunked(self) -> None:
        self.aws.create_function()
        self.assertIn("pid", self.ok(self.aws.invoke({"chunked": True})))

    def test_an_initialisation_that_hangs_runs_again_within_the_timeout(self) -> None:
        self.aws.create_function(Environment={"Variables": {"INIT": "hang"}}, Timeout=1)
        said = self.failed(self.aws.invoke({}))  # after the 10 s limit of the initialisation and the 1 s timeout
        self.assertEqual(said["errorType"], "Sandbox.Timedout")
        self.assertEqual(self.environments(), [])

    def test_an_environment_is_frozen_between_invocations(self) -> None:
        self.aws.create_function()
        pid = self.ok(self.aws.invoke({}))["pid"]
        wait(lambda: state(pid) == "T", "the process to be stopped")
        self.assertEqual(
            self.environments(), [{"account": self.aws.account, "function": "f", "pid": pid, "frozen": True}]
        )
        self.assertEqual(self.ok(self.aws.invoke({}))["pid"], pid)
        wait(lambda: state(pid) == "T", "the process to be stopped")

    def test_each_concurrent_invocation_has_its_own_environment(self) -> None:
        self.aws.create_function()
        answers = self.concurrently(3, {"do": "sleep", "seconds": 0.5})
        self.assertEqual(len({self.ok(answer)["pid"] for answer in answers}), 3)
        again = self.concurrently(3, {"do": "sleep", "seconds": 0.5})
        self.assertEqual({self.ok(answer)["pid"] for answer in again}, {self.ok(answer)["pid"] for answer in answers})

    def test_an_event_has_a_deadline_a_request_id_and_a_client_context(self) -> None:
        self.aws.create_function(Timeout=20)
        context = base64.b64encode(b'{"a": 1}').decode()
        answer = self.aws.invoke({}, X_Amz_Client_Context=context, X_Amzn_Trace_Id="Root=1-2-3")
        said = self.ok(answer)
        self.assertAlmostEqual(int(said["headers"]["Lambda-Runtime-Deadline-Ms"]), said["now_ms"] + 20_000, delta=2_000)
        self.assertEqual(said["headers"]["Lambda-Runtime-Aws-Request-Id"], answer.headers["x-amzn-requestid"])
        self.assertEqual(said["headers"]["Lambda-Runtime-Client-Context"], '{"a": 1}')
        self.assertEqual(said["headers"]["Lambda-Runtime-Trace-Id"], "Root=1-2-3")
        self.assertIn("Root=", self.ok(self.aws.invoke({}))["headers"]["Lambda-Runtime-Trace-Id"])

    def test_changing_or_deleting_a_function_ends_its_environments(self) -> None:
        self.aws.create_function()
        first = self.ok(self.aws.invoke({}))["pid"]
        self.put("/2015-03-31/functions/f/configuration", {"Environment": {"Variables": {"NEW": "1"}}})
        changed = self.ok(self.aws.invoke({}))
        self.assertEqual(changed["env"]["NEW"], "1")
        wait(lambda: not alive(first), "the old environment to end")
        self.assertEqual(self.aws.request("DELETE", "/2015-03-31/functions/f").status, 204)
        wait(lambda: not alive(changed["pid"]), "the environment to end")

    def test_an_alias_runs_its_version(self) -> None:
        self.aws.create_function()
        self.publish_as_live()
        said = self.ok(self.aws.invoke({}, name="f:live"))
        self.assertEqual(said["env"]["AWS_LAMBDA_FUNCTION_VERSION"], "1")
        self.assertTrue(said["headers"]["Lambda-Runtime-Invoked-Function-Arn"].endswith(":function:f:live"))


class Failures(Invocations):
    def test_a_timeout_kills_the_process_without_sigterm(self) -> None:
        self.aws.create_function(Timeout=1)
        pid = self.ok(self.aws.invoke({}))["pid"]
        said = self.failed(self.aws.invoke({"do": "sleep", "seconds": 60}))
        self.assertIn("Task timed out after 1.00 seconds", said["errorMessage"])
        wait(lambda: not alive(pid), "the environment to end")
        self.assertNotEqual(self.ok(self.aws.invoke({}))["pid"], pid)

    def test_a_crash_is_reported(self) -> None:
        self.aws.create_function()
        answer = self.aws.invoke({"do": "exit", "code": 5}, X_Amz_Log_Type="Tail")
        said = self.failed(answer)
        self.assertEqual(said["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 5", said["errorMessage"])
        self.assertIn("about to exit", base64.b64decode(answer.headers["X-Amz-Log-Result"]).decode())

    def test_a_kill_during_an_event_is_reported(self) -> None:
        self.aws.create_function(Timeout=60)
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.append(self.aws.invoke({"do": "sleep", "seconds": 60})))
        thread.start()
        pid = wait(lambda: [one["pid"] for one in self.environments() if not one["frozen"]], "an environment")[0]
        wait(lambda: alive(pid), "the process")
        os.kill(pid, 9)
        thread.join()
        said = self.failed(answers[0])
        self.assertEqual(said["errorType"], "Runtime.ExitError")
        self.assertIn("signal: killed", said["errorMessage"])

    def test_a_crash_during_initialisation_is_reported(self) -> None:
        self.aws.create_function(Environment={"Variables": {"INIT": "exit"}})
        answer = self.aws.invoke({}, X_Amz_Log_Type="Tail")
        said = self.failed(answer)
        self.assertEqual(said["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 3", said["errorMessage"])
        self.assertIn("no start today", base64.b64decode(answer.headers["X-Amz-Log-Result"]).decode())

    def test_an_initialisation_error_is_passed_on(self) -> None:
        self.aws.create_function(Environment={"Variables": {"INIT": "error"}})
        said = self.failed(self.aws.invoke({}))
        self.assertEqual(said["errorType"], "Init.Broken")
        self.assertIn("no database", said["errorMessage"])

    def test_a_function_error_keeps_the_environment(self) -> None:
        self.aws.create_function()
        pid = self.ok(self.aws.invoke({}))["pid"]
        self.assertEqual(
            self.failed(self.aws.invoke({"do": "fail"})), {"errorType": "App.Error", "errorMessage": "told to fail"}
        )
        self.assertEqual(self.ok(self.aws.invoke({}))["pid"], pid)

    def test_a_missing_image_is_an_error(self) -> None:
        self.aws.create_function(image="nowhere:1")
        said = self.failed(self.aws.invoke({}))
        self.assertEqual(said["errorType"], "Runtime.InvalidEntrypoint")
        self.assertIn("nowhere:1", said["errorMessage"])

    def test_reserved_concurrency_throttles(self) -> None:
        self.aws.create_function()
        self.put("/2017-10-31/functions/f/concurrency", {"ReservedConcurrentExecutions": 1})
        answers = self.concurrently(2, {"do": "sleep", "seconds": 1})
        rejected = [answer for answer in answers if answer.status == 429]
        self.assertEqual(sorted(answer.status for answer in answers), [200, 429])
        self.assertEqual(rejected[0].json()["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded")
        self.assertIn("TooManyRequestsException", rejected[0].json()["__type"])

    def test_payloads_above_the_limit_are_rejected(self) -> None:
        self.aws.create_function()
        megabyte = 1024 * 1024

        def status(size: int, **headers: str) -> int:
            return self.aws.invoke({"x": "y" * (size - len('{"x": ""}'))}, **headers).status

        self.assertEqual(status(6 * megabyte), 200)
        self.assertEqual(status(1 * megabyte, X_Amz_Invocation_Type="Event"), 202)
        self.assertEqual(status(1 * megabyte + 1, X_Amz_Invocation_Type="Event"), 413)
        rejected = self.aws.invoke({"x": "y" * 6 * megabyte})
        self.assertEqual((rejected.status, rejected.json()["__type"]), (413, "RequestTooLargeException"))
        self.assertEqual(
            self.failed(self.aws.invoke({"do": "big", "size": 6 * megabyte}))["errorType"],
            "Function.ResponseSizeTooLarge",
        )


class Logs(Invocations):
    def test_the_log_tail_is_returned_on_request(self) -> None:
        self.aws.create_function()
        self.assertIsNone(self.aws.invoke({"do": "print", "text": "hello"}).headers.get("X-Amz-Log-Result"))
        answer = self.aws.invoke({"do": "print", "text": "hello again"}, X_Amz_Log_Type="Tail")
        lines = base64.b64decode(answer.headers["X-Amz-Log-Result"]).decode().splitlines()
        request_id = answer.headers["x-amzn-requestid"]
        self.assertEqual(
            lines[:3],
            [f"START RequestId: {request_id} Version: $LATEST", "hello again", f"END RequestId: {request_id}"],
        )
        self.assertTrue(lines[3].startswith(f"REPORT RequestId: {request_id}\t"))

    def test_the_log_tail_has_at_most_4_kb(self) -> None:
        self.aws.create_function()
        answer = self.aws.invoke({"do": "print", "text": "x" * 10_000}, X_Amz_Log_Type="Tail")
        self.assertEqual(len(base64.b64decode(answer.headers["X-Amz-Log-Result"])), 4096)

    def test_output_goes_to_cloudwatch_logs(self) -> None:
        self.aws.create_function()
        said = self.ok(self.aws.invoke({}))
        self.aws.invoke({"do": "print", "text": "line"})
        stream = said["env"]["AWS_LAMBDA_LOG_STREAM_NAME"]
        events = self.aws.logs("GetLogEvents", logGroupName="/aws/lambda/f", logStreamName=stream)["events"]
        self.assertIn("line", [event["message"] for event in events])


class Events(Invocations):
    def send(self, event: Any) -> None:
        answer = self.aws.invoke({"file": str(self.scratch()), **event}, X_Amz_Invocation_Type="Event")
        self.assertEqual((answer.status, answer.body), (202, b""))

    def test_an_event_runs_once(self) -> None:
        self.aws.create_function()
        self.send({})
        wait(lambda: len(self.pids()) == 1, "the event to run")

    def test_an_event_without_retries_runs_once(self) -> None:
        self.aws.create_function()
        self.put("/2019-09-25/functions/f/event-invoke-config", {"MaximumRetryAttempts": 0})
        self.send({"then_fail": True})
        self.send({"do": "sleep", "seconds": 2.5})  # longer than the delay before a retry
        wait(lambda: len(self.pids()) == 2, "both events to run")
        self.assertEqual(self.aws.control("GET", "/_calls")["Invoke"], 2)

    def test_an_event_is_retried_as_often_as_configured(self) -> None:
        self.aws.create_function()
        self.put("/2019-09-25/functions/f/event-invoke-config", {"MaximumRetryAttempts": 1})
        self.send({"then_fail": True})
        wait(lambda: len(self.pids()) == 2, "the event and its retry")

    def test_an_alias_has_its_own_retries(self) -> None:
        self.aws.create_function()
        self.publish_as_live()
        self.put("/2019-09-25/functions/f/event-invoke-config?Qualifier=live", {"MaximumRetryAttempts": 0})
        self.aws.request(
            "POST",
            f"/2015-03-31/functions/{quote('f:live')}/invocations",
            json.dumps({"file": str(self.scratch()), "then_fail": True}).encode(),
            X_Amz_Invocation_Type="Event",
        )
        wait(lambda: len(self.pids()) == 1, "the event to run")
        begun = time.monotonic()
        self.ok(self.aws.invoke({"do": "sleep", "seconds": 2}))
        self.assertGreaterEqual(time.monotonic() - begun, 2)
        self.assertEqual(len(self.pids()), 1)

    def test_a_throttled_event_waits_and_uses_up_no_retry(self) -> None:
        self.aws.create_function()
        self.put("/2017-10-31/functions/f/concurrency", {"ReservedConcurrentExecutions": 1})
        self.put("/2019-09-25/functions/f/event-invoke-config", {"MaximumRetryAttempts": 0})
        self.send({"do": "sleep", "seconds": 1})
        self.send({})
        wait(lambda: len(self.pids()) == 2, "both events to run")
