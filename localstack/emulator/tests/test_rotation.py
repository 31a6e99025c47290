"""The rotation of secrets by a function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .harness import Case, emulator, wait

STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]


class Rotation(Case):
    def secrets(self, action: str, **body: Any) -> Any:
        return self.aws.json("secretsmanager", "secretsmanager", action, {"SecretId": "key", **body})

    def create(self, **variables: str) -> str:
        """Create a secret, and a function with these variables. Returns the ARN of the function."""
        self.secrets("CreateSecret", Name="key", SecretString="first")
        self.aws.create_function(Environment={"Variables": {"EVENTS": str(self.file()), **variables}})
        return f"arn:aws:lambda:us-east-1:{self.aws.account}:function:f"

    def file(self) -> Path:
        return emulator().folder / f"rotation-{self.aws.account}"

    def events(self) -> list[Any]:
        path = self.file()
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def test_a_rotation_calls_the_function_for_each_step(self) -> None:
        answer = self.secrets("RotateSecret", RotationLambdaARN=self.create())
        version = answer["VersionId"]
        self.assertNotIn("SecretString", self.secrets("GetSecretValue", VersionId=version))
        wait(lambda: len(self.events()) == len(STEPS), "all steps")
        self.assertEqual([event["Step"] for event in self.events()], STEPS)
        self.assertEqual({event["SecretId"] for event in self.events()}, {answer["ARN"]})
        self.assertEqual({event["ClientRequestToken"] for event in self.events()}, {version})
        # This function has changed nothing.
        self.assertEqual(self.secrets("GetSecretValue")["SecretString"], "first")
        self.assertEqual(self.secrets("DescribeSecret")["VersionIdsToStages"][version], ["AWSPENDING"])

    def test_a_failed_step_leaves_the_rotation_pending(self) -> None:
        arn = self.create(INIT="exit")
        self.secrets("RotateSecret", RotationLambdaARN=arn)
        error = self.rejected("InvalidRequestException", lambda: self.secrets("RotateSecret"))
        self.assertIn("A previous rotation", error.message)

    def test_after_a_rotation_the_next_one_can_begin(self) -> None:
        first = self.secrets("RotateSecret", RotationLambdaARN=self.create())["VersionId"]
        wait(lambda: len(self.events()) == len(STEPS), "all steps")
        current = self.secrets("GetSecretValue")["VersionId"]
        self.secrets("PutSecretValue", ClientRequestToken=first, SecretString="second", VersionStages=["AWSPENDING"])
        self.secrets(
            "UpdateSecretVersionStage", VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=current
        )
        second = self.secrets("RotateSecret")["VersionId"]
        wait(lambda: len(self.events()) == 2 * len(STEPS), "the steps of the second rotation")
        self.assertEqual(self.events()[-1]["ClientRequestToken"], second)

    def test_a_secret_without_a_function_is_not_rotated(self) -> None:
        self.secrets("CreateSecret", Name="key", SecretString="first")
        self.rejected("InvalidRequestException", lambda: self.secrets("RotateSecret"))
        self.rejected("ResourceNotFoundException", lambda: self.secrets("RotateSecret", SecretId="other"))
