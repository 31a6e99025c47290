"""The life cycle of a task, on real processes."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request

from .harness import IMAGES, Case, alive, emulator, wait


class Ends(Case):
    def test_a_task_reports_the_exit_code_of_its_process(self) -> None:
        self.aws.prepare()
        task = self.aws.until(self.aws.run("exit 3"), "STOPPED")
        self.assertEqual(
            (task["stopCode"], task["stoppedReason"]),
            ("EssentialContainerExited", "Essential container in task exited"),
        )
        self.assertEqual(task["containers"][0]["exitCode"], 3)
        times = [
            task[name]
            for name in (
                "createdAt",
                "pullStartedAt",
                "pullStoppedAt",
                "startedAt",
                "stoppingAt",
                "executionStoppedAt",
                "stoppedAt",
            )
        ]
        self.assertEqual(times, sorted(times))

    def test_a_killed_process_has_exit_code_137(self) -> None:
        self.aws.prepare()
        arn = self.aws.run("sleep 100")
        self.aws.until(arn, "RUNNING")
        os.kill(self.pid(), signal.SIGKILL)
        self.assertEqual(self.aws.until(arn, "STOPPED")["containers"][0]["exitCode"], 137)

    def test_stop_task_returns_at_once_and_sends_sigterm(self) -> None:
        self.aws.prepare()
        arn = self.up("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done")
        answer = self.aws.ecs("StopTask", cluster="c", task=arn, reason="drained")["task"]
        self.assertEqual(answer["desiredStatus"], "STOPPED")
        task = self.aws.until(arn, "STOPPED")
        self.assertEqual((task["stopCode"], task["stoppedReason"]), ("UserInitiated", "drained"))
        self.assertEqual(task["containers"][0]["exitCode"], 7)
        self.assertIn("bye", self.aws.log(arn))

    def test_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout(self) -> None:
        self.aws.prepare(stopTimeout=2)
        arn = self.up("trap '' TERM; echo up; while :; do sleep 0.05; done")
        begun = time.monotonic()
        self.aws.ecs("StopTask", cluster="c", task=arn)
        self.assertEqual(self.aws.task(arn)["desiredStatus"], "STOPPED")
        self.aws.until(arn, "STOPPING")
        self.assertEqual(self.aws.until(arn, "STOPPED")["containers"][0]["exitCode"], 137)
        self.assertGreaterEqual(time.monotonic() - begun, 2)

    def test_stopping_a_stopped_task_changes_nothing(self) -> None:
        self.aws.prepare()
        arn = self.aws.run("exit 3")
        self.aws.until(arn, "STOPPED")
        task = self.aws.ecs("StopTask", cluster="c", task=arn, reason="late")["task"]
        self.assertEqual(task["stoppedReason"], "Essential container in task exited")

    def test_stopping_an_unknown_task_is_an_error(self) -> None:
        self.aws.prepare()
        self.rejected("InvalidParameterException", lambda: self.aws.ecs("StopTask", cluster="c", task="nothing"))

    def test_the_whole_process_group_ends_with_its_first_process(self) -> None:
        self.aws.prepare()
        arn = self.aws.run("sleep 100 & echo child $!; exit 0")
        self.aws.until(arn, "STOPPED")
        child = int(self.aws.log(arn).split("child ")[1].split()[0])
        wait(lambda: not alive(child), "the child to end")

    def test_all_containers_stop_with_an_essential_container(self) -> None:
        self.aws.prepare()
        self.aws.register(
            containerDefinitions=[
                {"name": "app", "image": "shell:1", "command": ["sleep 0.1; exit 4"]},
                {"name": "aside", "image": "shell:1", "command": ["exec sleep 100"], "essential": False},
            ]
        )
        task = self.aws.until(self.aws.run(), "STOPPED")
        self.assertEqual({one["name"]: one["exitCode"] for one in task["containers"]}, {"app": 4, "aside": 143})

    def test_a_task_survives_the_end_of_a_container_that_is_not_essential(self) -> None:
        self.aws.prepare()
        self.aws.register(
            containerDefinitions=[
                {"name": "app", "image": "shell:1", "command": ["sleep 100"]},
                {"name": "aside", "image": "shell:1", "command": ["exit 5"], "essential": False},
            ]
        )
        arn = self.aws.run()
        wait(lambda: self.aws.task(arn)["containers"][1].get("exitCode") == 5, "the second container to end")
        self.assertEqual(self.aws.until(arn, "RUNNING")["desiredStatus"], "RUNNING")

    def test_a_spot_interruption_sends_sigterm_and_then_sigkill(self) -> None:
        self.aws.prepare()
        arn = self.up("trap 'echo noticed' TERM; echo up; while :; do sleep 0.05; done")
        self.aws.control("POST", "/_spot", {"task": arn, "kill_ms": 500})
        task = self.aws.until(arn, "STOPPED")
        self.assertEqual(
            (task["stopCode"], task["stoppedReason"]), ("SpotInterruption", "Your Spot Task was interrupted.")
        )
        self.assertEqual(task["containers"][0]["exitCode"], 137)
        self.assertIn("noticed", self.aws.log(arn))

    def up(self, script: str) -> str:
        arn = self.aws.run(script)
        wait(lambda: "up" in self.aws.log(arn), "the task to print")
        return arn

    def pid(self) -> int:
        return int(self.aws.control("GET", "/_running")["containers"][0]["pid"])


class Starts(Case):
    def failed(self, arn: str) -> tuple[str, str]:
        task = self.aws.until(arn, "STOPPED")
        self.assertEqual(task["stopCode"], "TaskFailedToStart")
        self.assertNotIn("exitCode", task["containers"][0])
        self.assertNotIn("startedAt", task)
        return task["stoppedReason"], task["containers"][0]["reason"]

    def test_a_missing_image_fails_the_task(self) -> None:
        self.aws.prepare(image="nowhere:1")
        for reason in self.failed(self.aws.run()):
            self.assertTrue(reason.startswith("CannotPullContainerError: "), reason)
            self.assertIn("nowhere:1", reason)

    def test_a_missing_program_fails_the_task(self) -> None:
        self.aws.prepare(image="missing-program:1")
        _, reason = self.failed(self.aws.run())
        self.assertTrue(reason.startswith("CannotStartContainerError: "), reason)
        self.assertIn("/nowhere/program", reason)

    def test_the_table_of_images_may_change(self) -> None:
        self.aws.prepare(image="later:1")
        images = emulator().images
        before = images.read_text()
        images.write_text(json.dumps({**IMAGES, "later:1": IMAGES["shell:1"]}))
        self.addCleanup(images.write_text, before)
        self.assertEqual(self.aws.until(self.aws.run("exit 9"), "STOPPED")["containers"][0]["exitCode"], 9)

    def test_a_task_can_be_stopped_while_its_image_is_pulled(self) -> None:
        self.aws.prepare(image="slow:1")
        arn = self.aws.run()
        self.aws.until(arn, "ACTIVATING")
        self.aws.ecs("StopTask", cluster="c", task=arn)
        self.assertEqual(self.aws.until(arn, "STOPPED")["stopCode"], "UserInitiated")

    def test_fifty_tasks_run_at_once(self) -> None:
        self.aws.prepare()
        arns = [
            task["taskArn"]
            for _ in range(5)
            for task in self.aws.run_task(
                count=10, overrides={"containerOverrides": [{"name": "app", "command": ["exec sleep 100"]}]}
            )["tasks"]
        ]

        def states() -> set[str]:
            return {task["lastStatus"] for task in self.aws.ecs("DescribeTasks", cluster="c", tasks=arns)["tasks"]}

        wait(lambda: states() == {"RUNNING"}, "50 tasks to run")
        for arn in arns:
            self.aws.ecs("StopTask", cluster="c", task=arn)
        wait(lambda: states() == {"STOPPED"}, "50 tasks to stop")
        self.assertEqual(self.aws.control("GET", "/_running")["containers"], [])


class Inside(Case):
    def environment(self, **override: object) -> dict[str, str]:
        arn = self.aws.run_task(
            overrides={"containerOverrides": [{"name": "app", "command": ["env; exec sleep 100"], **override}]}
        )["tasks"][0]["taskArn"]
        wait(lambda: "PWD=" in self.aws.log(arn) and "PATH=" in self.aws.log(arn), "the environment")
        self.arn = arn
        return dict(line.split("=", 1) for line in self.aws.log(arn).splitlines() if "=" in line)

    def test_a_container_gets_only_its_own_variables(self) -> None:
        self.aws.prepare(environment=[{"name": "A", "value": "definition"}, {"name": "B", "value": "definition"}])
        env = self.environment(environment=[{"name": "B", "value": "override"}])
        self.assertEqual((env["FROM_IMAGE"], env["A"], env["B"]), ("image", "definition", "override"))
        self.assertEqual((env["AWS_REGION"], env["AWS_EXECUTION_ENV"]), ("us-east-1", "AWS_ECS_FARGATE"))
        self.assertEqual((env["AWS_ENDPOINT_URL"], env["AWS_ACCESS_KEY_ID"]), (emulator().endpoint, self.aws.account))
        self.assertEqual(set(env) & {"GATEWAY_PORT", "PYTHONPATH", "TMPDIR", "LOG_LEVEL", "MINISTACK_HOST"}, set())

    def test_a_container_can_read_its_metadata(self) -> None:
        self.aws.prepare()
        url = self.environment()["ECS_CONTAINER_METADATA_URI_V4"]
        self.aws.until(self.arn, "RUNNING")
        with urllib.request.urlopen(url) as answer:
            container = json.load(answer)
        with urllib.request.urlopen(url + "/task") as answer:
            task = json.load(answer)
        self.assertEqual((container["Name"], container["KnownStatus"]), ("app", "RUNNING"))
        self.assertEqual(container["Networks"][0]["IPv4Addresses"], ["127.0.0.1"])
        self.assertEqual((task["TaskARN"], task["Family"], task["Revision"]), (self.arn, "family", "1"))
        self.assertTrue(task["Cluster"].endswith(":cluster/c"))
        self.assertEqual(task["Limits"], {"CPU": 0.25, "Memory": 512})
        self.assertEqual((task["LaunchType"], task["AvailabilityZone"]), ("FARGATE", "us-east-1a"))
        self.assertEqual((task["DesiredStatus"], task["KnownStatus"]), ("RUNNING", "RUNNING"))
        self.assertEqual(task["Containers"], [container])

    def test_an_entry_point_in_the_definition_discards_the_command_of_the_image(self) -> None:
        self.aws.prepare(entryPoint=["/bin/echo", "from the definition"])
        arn = self.aws.run()
        self.aws.until(arn, "STOPPED")
        self.assertEqual(self.aws.log(arn), "from the definition\n")

    def test_an_override_replaces_the_command(self) -> None:
        self.aws.prepare(command=["echo definition"])
        for script, printed in ((None, "definition\n"), ("echo override", "override\n")):
            arn = self.aws.run(script)
            self.aws.until(arn, "STOPPED")
            self.assertEqual(self.aws.log(arn), printed)

    def test_output_goes_to_cloudwatch_logs(self) -> None:
        self.aws.prepare(
            logConfiguration={
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": "/g",
                    "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "p",
                    "awslogs-create-group": "true",
                },
            }
        )
        arn = self.aws.run("echo one; echo two >&2")
        self.aws.until(arn, "STOPPED")
        events = self.aws.logs("GetLogEvents", logGroupName="/g", logStreamName=f"p/app/{arn.rsplit('/', 1)[-1]}")[
            "events"
        ]
        self.assertEqual([event["message"] for event in events], ["one", "two"])
