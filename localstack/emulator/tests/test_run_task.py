"""The checks and the responses of RunTask and RegisterTaskDefinition."""

from __future__ import annotations

from typing import Any

from .harness import NETWORK, Case, Client, emulator


class Rejections(Case):
    def setUp(self) -> None:
        super().setUp()
        self.aws.prepare()

    def test_an_unknown_cluster_is_an_error(self) -> None:
        self.rejected("ClusterNotFoundException", lambda: self.aws.run_task(cluster="nowhere"))
        self.assertNotIn("nowhere", str(self.aws.ecs("ListClusters")))

    def test_an_unknown_task_definition_is_an_error(self) -> None:
        self.rejected("ClientException", lambda: self.aws.run_task(taskDefinition="nothing"))

    def test_the_count_is_1_to_10(self) -> None:
        for count in (0, 11):
            self.rejected("InvalidParameterException", lambda: self.aws.run_task(count=count))
        self.assertEqual(len(self.aws.run_task(count=10)["tasks"]), 10)

    def test_awsvpc_needs_a_network(self) -> None:
        rejected = self.rejected("InvalidParameterException", lambda: self.aws.run_task(networkConfiguration=None))
        self.assertIn("awsvpc", rejected.message)
        empty: Any = {"awsvpcConfiguration": {"subnets": []}}
        self.rejected("InvalidParameterException", lambda: self.aws.run_task(networkConfiguration=empty))

    def test_an_override_of_an_unknown_container_is_an_error(self) -> None:
        rejected = self.rejected(
            "InvalidParameterException",
            lambda: self.aws.run_task(overrides={"containerOverrides": [{"name": "other"}]}),
        )
        self.assertIn("other", rejected.message)

    def test_overrides_have_at_most_8192_characters_of_json(self) -> None:
        def overrides(length: int) -> dict[str, object]:
            return {"containerOverrides": [{"name": "app", "environment": [{"name": "V", "value": "x" * length}]}]}

        frame = len('{"containerOverrides":[{"name":"app","environment":[{"name":"V","value":""}]}]}')
        self.aws.run_task(overrides=overrides(8192 - frame))
        rejected = self.rejected(
            "InvalidParameterException", lambda: self.aws.run_task(overrides=overrides(8193 - frame))
        )
        self.assertIn("8192", rejected.message)

    def test_a_size_that_fargate_does_not_offer_is_an_error(self) -> None:
        for cpu, memory in (("256", "4096"), ("300", "512"), ("1 vCPU", "1 GB")):
            self.rejected("ClientException", lambda: self.aws.register(cpu=cpu, memory=memory))
        self.aws.register(cpu="1 vCPU", memory="2 GB")
        rejected = self.rejected(
            "ClientException", lambda: self.aws.run_task(overrides={"cpu": "256", "memory": "8192"})
        )
        self.assertEqual(rejected.message, "No Fargate configuration exists for given values.")

    def test_launch_type_and_strategy_exclude_each_other(self) -> None:
        strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        self.rejected("InvalidParameterException", lambda: self.aws.run_task(capacityProviderStrategy=strategy))

    def test_a_strategy_may_use_only_providers_of_the_cluster(self) -> None:
        self.aws.ecs("CreateCluster", clusterName="bare")
        strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        rejected = self.rejected(
            "InvalidParameterException",
            lambda: self.aws.run_task(cluster="bare", launchType=None, capacityProviderStrategy=strategy),
        )
        self.assertIn("not associated", rejected.message)

    def test_the_default_launch_type_is_ec2_which_has_no_instances(self) -> None:
        self.rejected("InvalidParameterException", lambda: self.aws.run_task(launchType=None))

    def test_started_by_is_checked(self) -> None:
        for started_by in ("x" * 129, "a b"):
            self.rejected("InvalidParameterException", lambda: self.aws.run_task(startedBy=started_by))


class Idempotency(Case):
    def setUp(self) -> None:
        super().setUp()
        self.aws.prepare()

    def test_the_same_token_and_parameters_give_the_same_task(self) -> None:
        first, second = (self.aws.run("sleep 100", clientToken="t1") for _ in range(2))
        self.assertEqual(first, second)
        self.assertEqual(self.aws.ecs("ListTasks", cluster="c")["taskArns"], [first])

    def test_the_same_token_with_other_parameters_is_a_conflict(self) -> None:
        first = self.aws.run("sleep 100", clientToken="t1")
        rejected = self.rejected("ConflictException", lambda: self.aws.run("sleep 101", clientToken="t1"))
        self.assertEqual(rejected.body["resourceIds"], [first])

    def test_each_account_has_its_own_tokens(self) -> None:
        other = Client(emulator().endpoint)
        other.prepare()
        self.assertNotEqual(self.aws.run("exit 0", clientToken="t1"), other.run("exit 0", clientToken="t1"))

    def test_a_failed_call_does_not_use_up_its_token(self) -> None:
        self.rejected("InvalidParameterException", lambda: self.aws.run("exit 0", clientToken="t1", count=11))
        self.aws.run("exit 0", clientToken="t1")

    def test_tokens_have_at_most_64_characters(self) -> None:
        self.rejected("InvalidParameterException", lambda: self.aws.run("exit 0", clientToken="t" * 65))


class GivenBack(Case):
    def setUp(self) -> None:
        super().setUp()
        self.aws.prepare()

    def test_a_new_task_is_provisioning(self) -> None:
        task = self.aws.run_task(startedBy="parent/1", group="g")["tasks"][0]
        self.assertEqual((task["lastStatus"], task["desiredStatus"]), ("PROVISIONING", "RUNNING"))
        self.assertEqual((task["startedBy"], task["group"]), ("parent/1", "g"))
        self.assertEqual((task["cpu"], task["memory"], task["launchType"]), ("256", "512", "FARGATE"))
        self.assertNotIn("stopCode", task)

    def test_a_strategy_decides_the_provider(self) -> None:
        strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        task = self.aws.run_task(launchType=None, capacityProviderStrategy=strategy)["tasks"][0]
        self.assertEqual((task["capacityProviderName"], task["launchType"]), ("FARGATE_SPOT", "FARGATE"))

    def test_a_cluster_may_have_a_default_strategy(self) -> None:
        self.aws.ecs(
            "PutClusterCapacityProviders",
            cluster="c",
            capacityProviders=["FARGATE_SPOT"],
            defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        )
        self.assertEqual(self.aws.run_task(launchType=None)["tasks"][0]["capacityProviderName"], "FARGATE_SPOT")

    def test_tags_are_returned_on_request(self) -> None:
        arn = self.aws.run("sleep 100", tags=[{"key": "flame", "value": "ref"}])
        self.assertEqual(self.aws.task(arn)["tags"], [])
        self.assertEqual(self.aws.task(arn, include=["TAGS"])["tags"], [{"key": "flame", "value": "ref"}])
        self.aws.ecs(
            "TagResource", resourceArn=arn, tags=[{"key": "flame", "value": "other"}, {"key": "k", "value": "v"}]
        )
        self.assertEqual(
            self.aws.task(arn, include=["TAGS"])["tags"],
            [{"key": "flame", "value": "other"}, {"key": "k", "value": "v"}],
        )
        self.aws.ecs("UntagResource", resourceArn=arn, tagKeys=["flame"])
        self.assertEqual(self.aws.ecs("ListTagsForResource", resourceArn=arn)["tags"], [{"key": "k", "value": "v"}])


class Listing(Case):
    def setUp(self) -> None:
        super().setUp()
        self.aws.prepare()

    def listed(self, **filters: str) -> list[str]:
        arns: list[str] = self.aws.ecs("ListTasks", cluster="c", **filters)["taskArns"]
        return arns

    def test_tasks_can_be_filtered(self) -> None:
        self.aws.register(family="other")
        mine = self.aws.run("sleep 100", startedBy="me")
        other = self.aws.run("sleep 100", taskDefinition="other")
        over = self.aws.run("exit 0", startedBy="me")
        self.aws.until(over, "STOPPED")
        self.assertEqual(self.listed(), [mine, other])
        self.assertEqual(self.listed(startedBy="me"), [mine])
        self.assertEqual(self.listed(family="other"), [other])
        self.assertEqual(self.listed(desiredStatus="STOPPED"), [over])
        self.assertEqual(self.listed(family="family", desiredStatus="STOPPED"), [over])

    def test_started_by_is_the_only_filter(self) -> None:
        self.rejected("InvalidParameterException", lambda: self.listed(startedBy="me", desiredStatus="RUNNING"))

    def test_long_lists_have_pages(self) -> None:
        arns = [self.aws.run("sleep 100") for _ in range(3)]
        first = self.aws.ecs("ListTasks", cluster="c", maxResults=2)
        second = self.aws.ecs("ListTasks", cluster="c", maxResults=2, nextToken=first["nextToken"])
        self.assertEqual(first["taskArns"] + second["taskArns"], arns)
        self.assertNotIn("nextToken", second)

    def test_describing_an_unknown_task_says_missing(self) -> None:
        arn = self.aws.run("sleep 100")
        unknown = arn[:-4] + "0000"
        answer = self.aws.ecs("DescribeTasks", cluster="c", tasks=[arn, unknown, "bare-id"])
        self.assertEqual([task["taskArn"] for task in answer["tasks"]], [arn])
        self.assertEqual(
            [(failure["arn"], failure["reason"]) for failure in answer["failures"]],
            [(unknown, "MISSING"), (arn.rsplit("/", 1)[0] + "/bare-id", "MISSING")],
        )

    def test_describe_tasks_takes_at_most_100(self) -> None:
        arn = self.aws.run("sleep 100")
        self.aws.ecs("DescribeTasks", cluster="c", tasks=[arn] * 100)
        self.rejected(
            "InvalidParameterException", lambda: self.aws.ecs("DescribeTasks", cluster="c", tasks=[arn] * 101)
        )

    def test_other_accounts_see_nothing(self) -> None:
        arn = self.aws.run("sleep 100")
        other = Client(emulator().endpoint)
        other.prepare()
        self.assertEqual(other.ecs("ListTasks", cluster="c")["taskArns"], [])
        self.assertEqual(other.ecs("DescribeTasks", cluster="c", tasks=[arn])["failures"][0]["reason"], "MISSING")
        self.rejected("InvalidParameterException", lambda: other.ecs("StopTask", cluster="c", task=arn))

    def test_a_capacity_provider_of_the_cluster_runs_tasks_on_instances(self) -> None:
        self.aws.ecs("CreateCluster", clusterName="instances", capacityProviders=["gpu-instances"])
        self.aws.register(family="bridge", networkMode="bridge", requiresCompatibilities=["EC2"])
        strategy = [{"capacityProvider": "gpu-instances", "weight": 1}]
        run = {"cluster": "instances", "taskDefinition": "bridge", "capacityProviderStrategy": strategy}
        task = self.aws.ecs("RunTask", **run)["tasks"][0]
        self.assertEqual((task["launchType"], task["capacityProviderName"]), ("EC2", "gpu-instances"))
        self.aws.register(family="fargate")
        self.rejected(
            "InvalidParameterException",
            lambda: self.aws.ecs("RunTask", **{**run, "taskDefinition": "fargate", "networkConfiguration": NETWORK}),
        )

    def test_a_bridge_definition_takes_no_network(self) -> None:
        self.aws.register(family="bridge", networkMode="bridge", requiresCompatibilities=["EC2"])
        self.rejected(
            "InvalidParameterException",
            lambda: self.aws.run_task(taskDefinition="bridge", networkConfiguration=NETWORK),
        )
