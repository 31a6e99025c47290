"""Network load balancers in front of services, on real processes and real sockets."""

from __future__ import annotations

import base64
import socket
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .harness import NETWORK, wait
from .test_cloudformation import Stacks

CERTIFICATE = Path(__file__).parent / "certificate.pem"
KEY = Path(__file__).parent / "key.pem"
# The ports of every container: two tasks can't listen on them at the same time. The load balancer
# forwards to the first one.
PORT = 8443
OTHER_PORT = 9464
# A web server that serves the text in its variables NAME and OTHER, at the address in LISTEN.
SERVER = f'echo "$NAME $SECRET" > name; echo "$OTHER" > other; exec {sys.executable} -m http.server -b "${{LISTEN%%:*}}" "${{LISTEN##*:}}"'


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def get(url: str) -> str | None:
    """The text at this address, or None if nothing answers."""
    try:
        trust = ssl.create_default_context(cafile=str(CERTIFICATE))
        with urllib.request.urlopen(url, timeout=10, context=trust if url.startswith("https") else None) as answer:
            return str(answer.read().decode().strip())
    except (OSError, urllib.error.URLError):
        return None


class LoadBalancers(Stacks):
    def endpoint(self, name: str, port: int, **listener: Any) -> dict[str, Any]:
        """A listener, and a service with one task behind it."""
        container = {
            "Name": "app",
            "Image": "shell:1",
            "Command": [SERVER],
            "PortMappings": [{"ContainerPort": PORT}, {"ContainerPort": OTHER_PORT}],
            "Environment": [
                {"Name": "NAME", "Value": name},
                {"Name": "LISTEN", "Value": f"0.0.0.0:{PORT}"},
                {"Name": "OTHER", "Value": f"0.0.0.0:{OTHER_PORT}"},
            ],
            "Secrets": [{"Name": "SECRET", "ValueFrom": {"Ref": "Secret"}}],
        }
        network = {"AwsvpcConfiguration": {"Subnets": NETWORK["awsvpcConfiguration"]["subnets"]}}
        group = {"Ref": f"{name}Group"}
        return {
            f"{name}Group": {
                "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
                "Properties": {"Port": PORT, "Protocol": "TCP", "TargetType": "ip", "VpcId": "vpc-1"},
            },
            f"{name}Listener": {
                "Type": "AWS::ElasticLoadBalancingV2::Listener",
                "Properties": {
                    "LoadBalancerArn": {"Ref": "Balancer"},
                    "Port": port,
                    "Protocol": "TCP",
                    "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
                    **listener,
                },
            },
            f"{name}Definition": {
                "Type": "AWS::ECS::TaskDefinition",
                "Properties": {
                    "Family": name,
                    "NetworkMode": "awsvpc",
                    "RequiresCompatibilities": ["FARGATE"],
                    "Cpu": "256",
                    "Memory": "512",
                    "ContainerDefinitions": [container],
                },
            },
            f"{name}Service": {
                "Type": "AWS::ECS::Service",
                "DependsOn": f"{name}Listener",
                "Properties": {
                    "Cluster": {"Ref": "Cluster"},
                    "TaskDefinition": {"Ref": f"{name}Definition"},
                    "DesiredCount": 1,
                    "LaunchType": "FARGATE",
                    "NetworkConfiguration": network,
                    "LoadBalancers": [{"ContainerName": "app", "ContainerPort": PORT, "TargetGroupArn": group}],
                },
            },
        }

    def create_endpoints(self, *endpoints: dict[str, Any]) -> None:
        resources: dict[str, Any] = {
            "Cluster": {"Type": "AWS::ECS::Cluster"},
            "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "secret"}},
            "Balancer": {
                "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
                "Properties": {"Type": "network", "Subnets": ["subnet-1"]},
            },
        }
        for endpoint in endpoints:
            resources |= endpoint
        self.create(resources)

    def test_two_services_with_the_same_ports_have_listeners_of_their_own(self) -> None:
        first, second = free_port(), free_port()
        self.create_endpoints(self.endpoint("One", first), self.endpoint("Two", second))
        self.assertEqual(wait(lambda: get(f"http://127.0.0.1:{first}/name"), "the first service"), "One secret")
        self.assertEqual(wait(lambda: get(f"http://127.0.0.1:{second}/name"), "the second service"), "Two secret")
        others = [get(f"http://127.0.0.1:{port}/other") for port in (first, second)]
        self.assertEqual(len({f"0.0.0.0:{OTHER_PORT}", None, *others}), 4, others)
        self.delete()
        self.assertIsNone(get(f"http://127.0.0.1:{first}/name"))
        with socket.create_server(("127.0.0.1", first)):
            pass
        wait(lambda: not self.aws.control("GET", "/_running")["containers"], "the tasks to end")

    def test_a_listener_terminates_tls_with_the_certificate_in_acm(self) -> None:
        pem = {"Certificate": CERTIFICATE, "PrivateKey": KEY}
        files = {name: base64.b64encode(path.read_bytes()).decode() for name, path in pem.items()}
        arn = self.aws.json("acm", "CertificateManager", "ImportCertificate", files)["CertificateArn"]
        port = free_port()
        self.create_endpoints(self.endpoint("One", port, Protocol="TLS", Certificates=[{"CertificateArn": arn}]))
        self.assertEqual(wait(lambda: get(f"https://127.0.0.1:{port}/name"), "the service"), "One secret")
        self.delete()

    def test_a_stack_fails_if_its_listener_cannot_listen(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = int(taken.getsockname()[1])
            with self.assertRaisesRegex(AssertionError, f"can't listen on port {port}"):
                self.create_endpoints(self.endpoint("One", port))

    def test_a_stack_fails_if_its_certificate_is_not_in_acm(self) -> None:
        certificates = [{"CertificateArn": "arn:aws:acm:us-east-1:000000000001:certificate/0"}]
        with self.assertRaisesRegex(AssertionError, "certificate/0' is not valid"):
            self.create_endpoints(self.endpoint("One", free_port(), Protocol="TLS", Certificates=certificates))


class Secrets(Stacks):
    def test_a_task_whose_secret_does_not_exist_fails_to_start(self) -> None:
        missing = "arn:aws:secretsmanager:us-east-1:000000000001:secret:nothing-abcdef"
        self.aws.prepare(secrets=[{"name": "SECRET", "valueFrom": missing}])
        task = self.aws.until(self.aws.run("exit 0"), "STOPPED")
        self.assertEqual(task["stopCode"], "TaskFailedToStart")
        self.assertIn("ResourceInitializationError", task["stoppedReason"])

    def test_an_unknown_parameter_is_missing_too(self) -> None:
        self.aws.prepare(secrets=[{"name": "SECRET", "valueFrom": "nothing"}])
        task = self.aws.until(self.aws.run("exit 0"), "STOPPED")
        self.assertIn("ResourceInitializationError", task["stoppedReason"])
