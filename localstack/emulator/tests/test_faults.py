"""Faults, counts, and the emulator's other control paths."""

from __future__ import annotations

import json
import time

from .harness import AwsError, Case, Client, emulator, wait


class Answers(Case):
    def setUp(self) -> None:
        super().setUp()
        self.aws.prepare()

    def test_an_ecs_error_has_the_format_of_ecs(self) -> None:
        self.aws.fault(target="RunTask", status=400, type="ThrottlingException", message="Rate exceeded")
        rejected = self.rejected("ThrottlingException", self.aws.run)
        self.assertEqual((rejected.status, rejected.message), (400, "Rate exceeded"))
        self.aws.run()

    def test_a_lambda_error_has_the_format_of_lambda(self) -> None:
        self.aws.create_function()
        self.aws.fault(target="Invoke", status=500, type="ServiceException", message="oh")
        answer = self.aws.invoke({})
        self.assertEqual(
            (answer.status, answer.headers["x-amzn-errortype"], answer.json()["message"]),
            (500, "ServiceException", "oh"),
        )

    def test_a_cbor_error_is_encoded_as_cbor(self) -> None:
        self.aws.fault(target="PutMetricData", status=400, type="ThrottlingException", message="m")
        answer = self.aws.request(
            "POST",
            "/service/GraniteServiceVersion20100801/operation/PutMetricData",
            b"\xa0",
            "monitoring",
            Smithy_Protocol="rpc-v2-cbor",
            Content_Type="application/cbor",
        )
        self.assertEqual((answer.status, answer.headers["smithy-protocol"]), (400, "rpc-v2-cbor"))
        self.assertIn(b"ThrottlingException", answer.body)

    def test_a_fault_skips_and_then_counts_calls(self) -> None:
        self.aws.fault(target="ListTasks", status=400, type="ServerException", count=2, skip=1)
        outcomes = []
        for _ in range(4):
            try:
                self.aws.ecs("ListTasks", cluster="c")
                outcomes.append("ok")
            except AwsError as error:
                outcomes.append(error.kind)
        self.assertEqual(outcomes, ["ok", "ServerException", "ServerException", "ok"])

    def test_a_fault_can_replace_the_response(self) -> None:
        body = {"tasks": [], "failures": [{"reason": "Capacity is unavailable at this time."}]}
        self.aws.fault(target="RunTask", body=body)
        self.assertEqual(self.aws.run_task(), body)
        self.assertEqual(self.aws.ecs("ListTasks", cluster="c")["taskArns"], [])

    def test_a_fault_can_delay_a_response(self) -> None:
        self.aws.fault(target="ListTasks", delay_ms=300)
        begun = time.monotonic()
        self.aws.ecs("ListTasks", cluster="c")
        self.assertGreaterEqual(time.monotonic() - begun, 0.3)

    def test_a_call_that_is_reset_has_no_effect(self) -> None:
        self.aws.fault(target="RunTask", reset=True)
        self.cut_off(lambda: self.aws.run("sleep 100"))
        self.assertEqual(self.aws.ecs("ListTasks", cluster="c")["taskArns"], [])

    def test_a_call_that_is_reset_afterwards_has_an_effect(self) -> None:
        self.aws.fault(target="RunTask", reset_after=True)
        self.cut_off(lambda: self.aws.run("sleep 100", clientToken="t"))
        listed = self.aws.ecs("ListTasks", cluster="c")["taskArns"]
        self.assertEqual(listed, [self.aws.run("sleep 100", clientToken="t")])

    def test_a_fault_of_another_account_does_not_apply(self) -> None:
        other = Client(emulator().endpoint)
        other.fault(target="ListTasks", status=400, type="ServerException")
        self.aws.ecs("ListTasks", cluster="c")
        other.control("DELETE", "/_faults")
        self.assertEqual(other.control("GET", "/_faults"), [])

    def test_a_fault_without_effect_is_rejected(self) -> None:
        for rule in (
            {},
            {"target": "RunTask", "staus": 400},
            {"target": "RunTask", "status": 400},
            {"target": "task"},
            "RunTask",
        ):
            answer = self.aws.request("POST", "/_faults", json.dumps([rule]).encode())
            self.assertEqual(answer.status, 400, rule)


class States(Case):
    def setUp(self) -> None:
        super().setUp()
        self.aws.prepare()

    def test_a_task_can_be_hidden_from_describe_tasks(self) -> None:
        self.aws.fault(target="task", hide_ms=500)
        begun = time.monotonic()
        arn = self.aws.run("sleep 100")
        answer = self.aws.ecs("DescribeTasks", cluster="c", tasks=[arn])
        self.assertEqual(answer["failures"], [{"arn": arn, "reason": "MISSING"}])
        wait(lambda: self.aws.ecs("DescribeTasks", cluster="c", tasks=[arn])["tasks"], "the task to be seen")
        self.assertGreaterEqual(time.monotonic() - begun, 0.5)

    def test_a_task_can_start_slowly(self) -> None:
        self.aws.fault(target="task", start_ms=60_000)
        arn = self.aws.run()
        self.assertEqual(self.aws.task(arn)["lastStatus"], "PROVISIONING")
        self.aws.control("DELETE", "/_faults")
        quick = self.aws.run("exit 0")
        self.aws.until(quick, "STOPPED")
        self.aws.ecs("StopTask", cluster="c", task=arn)
        self.assertNotIn("startedAt", self.aws.until(arn, "STOPPED"))


class Environments(Case):
    def test_a_new_environment_can_start_slowly(self) -> None:
        self.aws.create_function()
        self.aws.fault(target="environment", start_ms=300)
        took = []
        for _ in range(2):
            begun = time.monotonic()
            self.assertEqual(self.aws.invoke({}).status, 200)
            took.append(time.monotonic() - begun)
        self.assertGreaterEqual(took[0], 0.3)
        self.assertLess(took[1], took[0], "the second environment is warm")


class Duplicates(Case):
    def test_a_duplicate_event_reaches_two_environments(self) -> None:
        self.aws.create_function()
        path = emulator().folder / f"scratch-{self.aws.account}"
        self.aws.fault(target="Invoke", duplicate=True)
        answer = self.aws.invoke({"file": str(path)})
        self.assertEqual(answer.status, 200)
        wait(lambda: len(path.read_text().split()) == 2, "both deliveries")
        self.assertEqual(len(set(path.read_text().split())), 2)


class Counts(Case):
    def test_calls_are_counted_for_each_account(self) -> None:
        self.aws.prepare()
        self.aws.fault(target="ListTasks", reset=True)
        self.cut_off(lambda: self.aws.ecs("ListTasks", cluster="c"))
        self.aws.ecs("ListTasks", cluster="c")
        self.assertEqual(
            self.aws.control("GET", "/_calls"), {"CreateCluster": 1, "RegisterTaskDefinition": 1, "ListTasks": 2}
        )

    def test_a_spot_interruption_of_an_unknown_task_is_an_error(self) -> None:
        self.assertEqual(self.aws.request("POST", "/_spot", b'{"task": "nothing"}').status, 404)
