"""Types of CloudFormation resources that MiniStack lacks, or creates differently from AWS.

The network of a VPC does nothing here, so the missing types of EC2 only create what the API of EC2
then shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from . import ministack

Properties = Mapping[str, Any]
# What a handler returns: the physical id, which is the value of `Ref`, and the attributes.
Created = tuple[str, dict[str, Any]]
Create = Callable[[str, Properties, str], Created]
Delete = Callable[[str, Properties], None]
Handler = dict[str, Any]


def install() -> None:
    """Add and replace the handlers of these types."""
    handlers: dict[str, Handler] = ministack.module("services.cloudformation.provisioners")._RESOURCE_HANDLERS
    handlers["AWS::EC2::EIP"] = _replaced_when_changed(_create_address, _delete_address)
    handlers["AWS::EC2::NatGateway"] = _replaced_when_changed(_create_nat_gateway, _delete_nat_gateway)
    handlers["AWS::EC2::FlowLog"] = _replaced_when_changed(_create_flow_log, _delete_flow_log)
    for direction, store in (("Ingress", "IpPermissions"), ("Egress", "IpPermissionsEgress")):
        create, delete = _security_group_rule(store)
        handlers[f"AWS::EC2::SecurityGroup{direction}"] = _replaced_when_changed(create, delete)
    schedule = _replaced_when_changed(_create_rotation_schedule, _delete_rotation_schedule)
    handlers["AWS::SecretsManager::RotationSchedule"] = schedule
    handlers["AWS::SecretsManager::Secret"] = _secret(handlers["AWS::SecretsManager::Secret"])
    _name_secrets_of_containers()
    _accept_alarms_on_expressions()


def _replaced_when_changed(create: Create, delete: Delete) -> Handler:
    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
        created = create(logical_id, new, stack)
        if created[0] != physical_id:
            delete(physical_id, old)
        return created

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _name_secrets_of_containers() -> None:
    """Store the secrets of a task definition under the names that the API has for their fields."""
    provisioners = ministack.module("services.cloudformation.provisioners")
    original = provisioners._normalize_container_defs

    def normalized(definitions: Any) -> Any:
        containers = original(definitions)
        for container in containers:
            if "secrets" in container:
                container["secrets"] = provisioners._pascal_to_camel(container["secrets"])
        return containers

    ministack.replace(provisioners, "_normalize_container_defs", normalized)


# CloudWatch.

# PutMetricAlarm rejects these fields together with `Metrics` (AWS documentation, PutMetricAlarm).
_OF_ONE_METRIC = ("Namespace", "MetricName", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")


def _accept_alarms_on_expressions() -> None:
    """Create alarms on expressions as well, which MiniStack rejects. Nothing evaluates them."""
    provisioners = ministack.module("services.cloudformation.provisioners")
    original = provisioners._cw_metric_alarm_record

    def record(name: str, properties: Properties) -> Any:
        metrics = properties.get("Metrics")
        if not metrics:
            return original(name, properties)
        of_one_metric = [field for field in _OF_ONE_METRIC if properties.get(field)]
        if of_one_metric:
            raise ValueError(f"An alarm with Metrics must not have {', '.join(of_one_metric)}")
        alarm = original(name, {**properties, "Metrics": None, "MetricName": "-", "Namespace": "-"})
        shown = {field: value for field, value in alarm.items() if field not in _OF_ONE_METRIC}
        return {**shown, "Metrics": metrics}

    ministack.replace(provisioners, "_cw_metric_alarm_record", record)


# EC2. MiniStack has these operations in its API.


def _ec2(operation: str, parameters: Mapping[str, Any]) -> str:
    """Call an operation of EC2. Returns the body of its response."""
    status, _, body = getattr(ministack.module("services.ec2"), operation)(
        {name: [str(value)] for name, value in parameters.items() if value is not None}
    )
    text = body.decode() if isinstance(body, bytes) else str(body)
    if status != 200:
        raise ValueError(text)
    return text


def _element(xml: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]+)</{name}>", xml)
    if found is None:
        raise ValueError(f"the response of EC2 has no {name}: {xml}")
    return found[1]


def _create_address(logical_id: str, properties: Properties, stack: str) -> Created:
    answer = _ec2("_allocate_address", {"Domain": properties.get("Domain", "vpc")})
    address, allocation = _element(answer, "publicIp"), _element(answer, "allocationId")
    return address, {"PublicIp": address, "AllocationId": allocation}


def _delete_address(physical_id: str, properties: Properties) -> None:
    for allocation, record in list(ministack.module("services.ec2")._addresses.items()):
        if record["PublicIp"] == physical_id:
            _ec2("_release_address", {"AllocationId": allocation})


def _create_nat_gateway(logical_id: str, properties: Properties, stack: str) -> Created:
    wanted = {name: properties.get(name) for name in ("SubnetId", "AllocationId", "ConnectivityType")}
    gateway = _element(_ec2("_create_nat_gateway", wanted), "natGatewayId")
    return gateway, {"NatGatewayId": gateway}


def _delete_nat_gateway(physical_id: str, properties: Properties) -> None:
    if physical_id in ministack.module("services.ec2")._nat_gateways:
        _ec2("_delete_nat_gateway", {"NatGatewayId": physical_id})


def _create_flow_log(logical_id: str, properties: Properties, stack: str) -> Created:
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")
    wanted = {name: properties.get(name) for name in names}
    flow_log = _element(_ec2("_create_flow_logs", {**wanted, "ResourceId.1": properties["ResourceId"]}), "item")
    return flow_log, {"Id": flow_log}


def _delete_flow_log(physical_id: str, properties: Properties) -> None:
    _ec2("_delete_flow_logs", {"FlowLogId.1": physical_id})


def _security_group_rule(store: str) -> tuple[Create, Delete]:
    """The handlers of a rule that is a resource of its own; `store` is the rules' name in the API."""

    def rules_of(properties: Properties) -> list[Any]:
        group = ministack.module("services.ec2")._security_groups.get(properties.get("GroupId"))
        if group is None:
            raise ValueError(f"The security group '{properties.get('GroupId')}' does not exist")
        rules: list[Any] = group.setdefault(store, [])
        return rules

    def parsed(properties: Properties) -> list[Any]:
        provisioners = ministack.module("services.cloudformation.provisioners")
        rules: list[Any] = provisioners._ec2_sg_permissions([properties])
        return rules

    def create(logical_id: str, properties: Properties, stack: str) -> Created:
        rules_of(properties).extend(parsed(properties))
        return f"{stack}-{logical_id}", {}

    def delete(physical_id: str, properties: Properties) -> None:
        # The group may be gone: a stack deletes resources that do not depend on each other in any order.
        if properties.get("GroupId") in ministack.module("services.ec2")._security_groups:
            rules = rules_of(properties)
            for rule in parsed(properties):
                if rule in rules:
                    rules.remove(rule)

    return create, delete


# Secrets Manager.


def _secret(original: Handler) -> Handler:
    """Give a secret the value that AWS would generate, and return its ARN for `Ref` as AWS does."""

    def stored_name(physical_id: str) -> str:
        name, _ = ministack.module("services.secretsmanager")._resolve(physical_id)
        return str(name or physical_id)

    def create(logical_id: str, properties: Properties, stack: str) -> Created:
        _, attributes = original["create"](logical_id, _with_value(properties), stack)
        return attributes["Arn"], attributes

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
        # A secret keeps its generated value until the template changes its name or how to generate it.
        keeps_value = all(old.get(name) == new.get(name) for name in ("Name", "GenerateSecretString"))
        wanted = new if keeps_value else _with_value(new)
        _, attributes = original["update"](stored_name(physical_id), old, wanted, stack, logical_id)
        return attributes["Arn"], attributes

    def delete(physical_id: str, properties: Properties) -> None:
        original["delete"](stored_name(physical_id), properties)

    return {**original, "create": create, "update": update, "delete": delete}


def _with_value(properties: Properties) -> Properties:
    """Generate the value with the API: unlike MiniStack's CloudFormation, it knows every option."""
    options = properties.get("GenerateSecretString")
    if not options or properties.get("SecretString"):
        return properties
    value = _password({name: _typed(name, value) for name, value in options.items()})
    if options.get("SecretStringTemplate"):
        document = json.loads(options["SecretStringTemplate"])
        value = json.dumps({**document, options["GenerateStringKey"]: value})
    return {**properties, "SecretString": value, "GenerateSecretString": None}


def _password(options: Mapping[str, Any]) -> str:
    status, _, body = ministack.module("services.secretsmanager")._get_random_password(options)
    answer = json.loads(body)
    if status != 200:
        raise ValueError(answer["message"])
    return str(answer["RandomPassword"])


def _typed(name: str, value: Any) -> Any:
    """A template may contain booleans and numbers as text."""
    if name.startswith(("Exclude", "Include", "Require")) and value in ("true", "false"):
        return value == "true"
    return int(value) if name == "PasswordLength" else value


def _create_rotation_schedule(logical_id: str, properties: Properties, stack: str) -> Created:
    secrets = ministack.module("services.secretsmanager")
    _, secret = secrets._resolve(properties.get("SecretId"))
    if secret is None:
        raise ValueError("Secrets Manager can't find the specified secret.")
    secret["RotationLambdaARN"] = properties.get("RotationLambdaARN")
    secret["RotationRules"] = properties.get("RotationRules")
    secret["RotationEnabled"] = True
    return str(secret["ARN"]), {"Id": secret["ARN"]}


def _delete_rotation_schedule(physical_id: str, properties: Properties) -> None:
    _, secret = ministack.module("services.secretsmanager")._resolve(physical_id)
    if secret is not None:
        secret["RotationEnabled"] = False
