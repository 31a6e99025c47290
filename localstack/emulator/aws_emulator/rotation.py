"""RotateSecret, which calls the function of a secret (AWS documentation, Secrets Manager, rotation by
Lambda function). MiniStack only moves the labels."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from . import ministack
from .ministack import Answer

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


def install() -> None:
    """Replace MiniStack's operation."""
    secrets = ministack.module("services.secretsmanager")
    original = secrets._rotate_secret

    def rotate(data: Mapping[str, Any]) -> Answer:
        _, secret = secrets._resolve(data.get("SecretId"))
        if secret is None or secret.get("DeletedDate"):
            answer: Answer = original(data)
            return answer
        return _rotate(secret, data)

    ministack.replace(secrets, "_rotate_secret", rotate)


def _rotate(secret: dict[str, Any], data: Mapping[str, Any]) -> Answer:
    function = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
    if not function:
        return ministack.error(
            "InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."
        )
    pending = [version["Stages"] for version in secret["Versions"].values() if "AWSPENDING" in version["Stages"]]
    if any("AWSCURRENT" not in stages for stages in pending):
        return ministack.error(
            "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."
        )
    for stages in pending:
        stages.remove("AWSPENDING")
    version = str(data.get("ClientRequestToken") or uuid.uuid4())
    secret.update(RotationLambdaARN=function, RotationEnabled=True)
    secret["RotationRules"] = data.get("RotationRules") or secret.get("RotationRules")
    # The new version has no value until the function sets one.
    secret["Versions"][version] = {
        "SecretString": None,
        "SecretBinary": None,
        "CreatedDate": int(time.time()),
        "Stages": ["AWSPENDING"],
    }
    # The function runs in the account and region of this request.
    context = contextvars.copy_context()
    arguments = (_run_steps, secret, function, version)
    threading.Thread(target=context.run, args=arguments, name="rotation", daemon=True).start()
    return ministack.ok({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": version})


def _run_steps(secret: dict[str, Any], function: str, version: str) -> None:
    """Call the function for each step. AWS repeats a rotation that fails; this one stays pending."""
    functions = ministack.module("services.lambda_svc")
    found = functions._functions.get(function.split(":")[6])
    for step in STEPS:
        event = {"SecretId": secret["ARN"], "ClientRequestToken": version, "Step": step}
        result = functions._execute_function(found, event) if found else {"error": True, "body": "there is no function"}
        if result.get("error"):
            logging.error("the rotation of %s failed in %s: %s", secret["Name"], step, result.get("body"))
            return
    secret["LastRotatedDate"] = int(time.time())
