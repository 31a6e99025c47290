"""Services of ECS, whose tasks are real processes."""

from __future__ import annotations

from typing import Any

from .harness import NETWORK, Case, wait


class Deployments(Case):
    def service(self) -> Any:
        return self.aws.ecs("DescribeServices", cluster="c", services=["s"])["services"][0]

    def tasks(self, status: str) -> list[str]:
        arns: list[str] = self.aws.ecs("ListTasks", cluster="c", serviceName="s", desiredStatus=status)["taskArns"]
        return arns

    def rollouts(self) -> list[tuple[str, str]]:
        return [(one["status"], one["rolloutState"]) for one in self.service()["deployments"]]

    def start(self, count: int) -> list[str]:
        """Create the service, and wait for its tasks. Returns their ARNs."""
        self.aws.prepare(command=["exec sleep 600"])
        create = {"cluster": "c", "serviceName": "s", "taskDefinition": "family", "desiredCount": count}
        self.aws.ecs("CreateService", launchType="FARGATE", networkConfiguration=NETWORK, **create)
        wait(lambda: self.service()["runningCount"] == count, "the tasks of the service")
        return self.tasks("RUNNING")

    def test_a_new_deployment_starts_new_tasks_and_then_stops_the_old_ones(self) -> None:
        old = self.start(2)
        self.aws.ecs("UpdateService", cluster="c", service="s", forceNewDeployment=True)
        wait(lambda: self.rollouts() == [("PRIMARY", "COMPLETED")], "the new deployment")
        for arn in old:
            stopped = self.aws.until(arn, "STOPPED")
            self.assertEqual(stopped["stoppedReason"], "Deployment completed")
        new = self.tasks("RUNNING")
        self.assertEqual((len(new), set(new) & set(old)), (2, set()))
        self.aws.ecs("UpdateService", cluster="c", service="s", desiredCount=0)
        for arn in new:
            self.aws.until(arn, "STOPPED")

    def test_a_deployment_whose_tasks_do_not_start_keeps_the_old_ones(self) -> None:
        old = self.start(1)
        self.aws.register(containerDefinitions=[{"name": "app", "image": "nowhere:1"}])
        self.aws.ecs("UpdateService", cluster="c", service="s", taskDefinition="family")
        wait(lambda: self.tasks("STOPPED"), "the new task to fail")
        self.assertEqual(self.tasks("RUNNING"), old)
        self.assertEqual(self.rollouts()[0], ("PRIMARY", "IN_PROGRESS"))
