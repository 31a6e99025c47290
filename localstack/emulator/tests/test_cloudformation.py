"""Stacks of CloudFormation: the resource types that the emulator adds."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import urlencode

from .harness import Case, wait

FORM = "application/x-www-form-urlencoded"


class Stacks(Case):
    """Creates and deletes stacks."""

    def query(self, service: str, version: str, action: str, **parameters: str) -> str:
        """Call an operation of the query protocol. Returns the XML."""
        body = urlencode({"Action": action, "Version": version, **parameters}).encode()
        answer = self.aws.request("POST", "/", body, service, Content_Type=FORM)
        self.assertEqual(answer.status, 200, answer.body.decode())
        return answer.body.decode()

    def formation(self, action: str, **parameters: str) -> str:
        """Call an operation of CloudFormation."""
        return self.query("cloudformation", "2010-05-15", action, **parameters)

    def create(self, resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> dict[str, str]:
        """Create the stack `s`. Returns its outputs."""
        named = {name: {"Value": value} for name, value in (outputs or {}).items()}
        template = json.dumps({"Resources": resources, "Outputs": named})
        self.formation("CreateStack", StackName="s", TemplateBody=template)
        self.until("CREATE_COMPLETE")
        described = self.formation("DescribeStacks", StackName="s")
        return {name: text_of(described.split(f"<OutputKey>{name}</OutputKey>")[1], "OutputValue") for name in named}

    def delete(self) -> None:
        """Delete the stack `s`."""
        self.formation("DeleteStack", StackName="s")
        wait(lambda: "<StackName>s</StackName>" not in self.formation("DescribeStacks"), "the stack to be deleted")

    def until(self, status: str) -> None:
        """Wait until the stack `s` has this status, and fail with the reasons if it can't get there."""

        def finished() -> bool:
            found = text_of(self.formation("DescribeStacks", StackName="s"), "StackStatus")
            if found != status and not found.endswith("_IN_PROGRESS"):
                events = html.unescape(self.formation("DescribeStackEvents", StackName="s"))
                raise AssertionError("; ".join(re.findall("<ResourceStatusReason>(.+?)</", events)))
            return found == status

        wait(finished, f"the stack to be {status}")


def text_of(xml: str, element: str) -> str:
    """The text of the first element of this name."""
    return xml.split(f"<{element}>", 1)[1].split(f"</{element}>", 1)[0]


class Network(Stacks):
    def ec2(self, action: str) -> str:
        return self.query("ec2", "2016-11-15", action)

    def test_a_nat_gateway_has_its_address_until_the_stack_is_deleted(self) -> None:
        outputs = self.create(
            {
                "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
                "Subnet": {
                    "Type": "AWS::EC2::Subnet",
                    "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"},
                },
                "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
                "Gateway": {
                    "Type": "AWS::EC2::NatGateway",
                    "Properties": {
                        "SubnetId": {"Ref": "Subnet"},
                        "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]},
                    },
                },
            },
            {"gateway": {"Ref": "Gateway"}, "address": {"Ref": "Address"}},
        )
        self.assertIn(outputs["gateway"], self.ec2("DescribeNatGateways"))
        self.assertIn(outputs["address"], self.ec2("DescribeAddresses"))
        self.delete()
        self.assertNotIn("<state>available</state>", self.ec2("DescribeNatGateways"))
        self.assertNotIn(outputs["address"], self.ec2("DescribeAddresses"))

    def test_a_flow_log_ends_with_its_stack(self) -> None:
        outputs = self.create(
            {
                "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
                "Log": {
                    "Type": "AWS::EC2::FlowLog",
                    "Properties": {"ResourceId": {"Ref": "Vpc"}, "ResourceType": "VPC", "LogGroupName": "g"},
                },
            },
            {"log": {"Ref": "Log"}},
        )
        self.assertIn(outputs["log"], self.ec2("DescribeFlowLogs"))
        self.delete()
        self.assertNotIn(outputs["log"], self.ec2("DescribeFlowLogs"))

    def test_rules_of_a_security_group_can_be_resources_of_their_own(self) -> None:
        rule = {"IpProtocol": "tcp", "GroupId": {"Ref": "Group"}}
        outputs = self.create(
            {
                "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "g"}},
                "In": {
                    "Type": "AWS::EC2::SecurityGroupIngress",
                    "Properties": {**rule, "FromPort": 4100, "ToPort": 4100, "CidrIp": "203.0.113.0/24"},
                },
                "Out": {
                    "Type": "AWS::EC2::SecurityGroupEgress",
                    "Properties": {**rule, "FromPort": 8443, "ToPort": 8443, "CidrIp": "198.51.100.0/24"},
                },
            },
            {"group": {"Ref": "Group"}},
        )
        group = self.ec2("DescribeSecurityGroups").split(outputs["group"])[1]
        inside, outside = group.split("ipPermissionsEgress", 1)
        self.assertIn("203.0.113.0/24", inside)
        self.assertIn("198.51.100.0/24", outside.split("</securityGroupInfo>")[0])
        self.delete()


class Functions(Stacks):
    def test_the_environments_of_a_function_end_with_its_stack(self) -> None:
        properties = {
            "FunctionName": "f",
            "PackageType": "Image",
            "Code": {"ImageUri": "function:1"},
            "Role": "arn:aws:iam::000000000000:role/r",
        }
        self.create({"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}})
        self.assertEqual(self.aws.invoke({}).status, 200)
        self.assertEqual(len(self.aws.control("GET", "/_running")["environments"]), 1)
        self.delete()
        wait(lambda: not self.aws.control("GET", "/_running")["environments"], "the environment to end")


class Watching(Stacks):
    COMMON = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 80}
    METRIC = {"Namespace": "AWS/Usage", "MetricName": "ResourceCount"}
    EXPRESSION = [
        {"Id": "percent", "Expression": "100 * used / SERVICE_QUOTA(used)", "ReturnData": True},
        {"Id": "used", "MetricStat": {"Metric": METRIC, "Period": 300, "Stat": "Maximum"}, "ReturnData": False},
    ]

    def monitoring(self, action: str, **body: Any) -> Any:
        return self.aws.json("monitoring", "GraniteServiceVersion20100801", action, body)

    def alarm(self, **properties: Any) -> dict[str, Any]:
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": {**self.COMMON, **properties}}

    def test_an_alarm_on_an_expression_is_shown_until_its_stack_is_deleted(self) -> None:
        simple = self.alarm(**self.METRIC, Period=300, Statistic="Maximum")
        self.create({"Simple": simple, "Quota": self.alarm(Metrics=self.EXPRESSION, TreatMissingData="notBreaching")})
        shown = {"Quota" if "Metrics" in alarm else "Simple": alarm for alarm in self.alarms()}
        self.assertEqual(shown["Simple"]["MetricName"], "ResourceCount")
        quota = shown["Quota"]
        self.assertEqual((quota["Metrics"], quota["TreatMissingData"]), (self.EXPRESSION, "notBreaching"))
        self.assertNotIn("MetricName", quota)
        self.delete()
        self.assertEqual(self.alarms(), [])

    def alarms(self) -> list[Any]:
        alarms: list[Any] = self.monitoring("DescribeAlarms")["MetricAlarms"]
        return alarms

    def test_an_alarm_has_an_expression_or_a_metric_of_its_own(self) -> None:
        template = json.dumps({"Resources": {"Both": self.alarm(**self.METRIC, Metrics=self.EXPRESSION)}})
        self.formation("CreateStack", StackName="s", TemplateBody=template)
        with self.assertRaisesRegex(AssertionError, "must not have Namespace, MetricName"):
            self.until("CREATE_COMPLETE")

    def test_a_dashboard_ends_with_its_stack(self) -> None:
        body = json.dumps({"widgets": []})
        dashboard = {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardName": "d", "DashboardBody": body}}
        self.create({"Dashboard": dashboard})
        self.assertEqual(self.monitoring("GetDashboard", DashboardName="d")["DashboardBody"], body)
        self.delete()
        self.assertEqual(self.monitoring("ListDashboards")["DashboardEntries"], [])


class Secrets(Stacks):
    SECRET = {
        "Type": "AWS::SecretsManager::Secret",
        "Properties": {"GenerateSecretString": {"PasswordLength": 64, "ExcludePunctuation": True}},
    }

    def value(self, arn: str) -> str:
        return str(
            self.aws.json("secretsmanager", "secretsmanager", "GetSecretValue", {"SecretId": arn})["SecretString"]
        )

    def test_a_reference_to_a_secret_is_its_arn_and_its_value_has_the_wanted_characters(self) -> None:
        outputs = self.create({"Key": self.SECRET}, {"key": {"Ref": "Key"}})
        self.assertTrue(outputs["key"].startswith("arn:aws:secretsmanager:"), outputs["key"])
        value = self.value(outputs["key"])
        self.assertEqual(len(value), 64)
        self.assertTrue(value.isalnum(), value)
        self.delete()
        secrets = self.aws.json("secretsmanager", "secretsmanager", "ListSecrets", {})["SecretList"]
        self.assertEqual(secrets, [])

    def test_a_secret_can_start_as_a_copy_of_another_one(self) -> None:
        copy = {"Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": "Key"}, ":SecretString:::}}"]]}
        outputs = self.create(
            {
                "Key": self.SECRET,
                "Accepted": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": copy}},
            },
            {"key": {"Ref": "Key"}, "accepted": {"Ref": "Accepted"}},
        )
        self.assertEqual(self.value(outputs["accepted"]), self.value(outputs["key"]))
        self.delete()

    def test_a_rotation_schedule_is_shown_but_rotates_nothing(self) -> None:
        outputs = self.create(
            {
                "Key": self.SECRET,
                "Schedule": {
                    "Type": "AWS::SecretsManager::RotationSchedule",
                    "Properties": {
                        "SecretId": {"Ref": "Key"},
                        "RotationLambdaARN": "arn:aws:lambda:us-east-1:000000000001:function:rotate",
                        "RotationRules": {"AutomaticallyAfterDays": 90},
                    },
                },
            },
            {"key": {"Ref": "Key"}},
        )
        shown = self.aws.json("secretsmanager", "secretsmanager", "DescribeSecret", {"SecretId": outputs["key"]})
        self.assertEqual((shown["RotationEnabled"], shown["RotationRules"]), (True, {"AutomaticallyAfterDays": 90}))
        self.delete()
