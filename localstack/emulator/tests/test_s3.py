"""S3, as far as the code store relies on it."""

from __future__ import annotations

import base64
import hashlib

from .harness import Answer, Case, Client, emulator


class Bucket(Case):
    def setUp(self) -> None:
        super().setUp()
        # The names of buckets are global.
        self.bucket = f"/code-{self.aws.account}"
        self.assertEqual(self.send("PUT", "").status, 200)

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        return self.aws.request(method, self.bucket + path, body, "s3", **headers)


class Objects(Bucket):
    def test_an_object_is_returned_with_its_length_and_its_sha256(self) -> None:
        body = b"executable"
        sha256 = base64.b64encode(hashlib.sha256(body).digest()).decode()
        put = self.send("PUT", "/a/b", body, x_amz_checksum_sha256=sha256)
        self.assertEqual(put.status, 200, put.body)
        self.assertEqual(self.send("GET", "/a/b").body, body)
        head = self.send("HEAD", "/a/b", x_amz_checksum_mode="ENABLED")
        self.assertEqual(head.headers["content-length"], "10")
        self.assertEqual(head.headers["x-amz-checksum-sha256"], sha256)

    def test_an_object_with_another_sha256_is_rejected(self) -> None:
        sha256 = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
        put = self.send("PUT", "/a", b"executable", x_amz_checksum_sha256=sha256)
        self.assertEqual(put.status, 400)
        self.assertEqual(self.send("HEAD", "/a").status, 404)

    def test_the_objects_of_another_account_are_not_seen(self) -> None:
        self.send("PUT", "/a", b"executable")
        other = Client(emulator().endpoint)
        self.assertNotEqual(other.request("GET", f"{self.bucket}/a", service="s3").status, 200)

    def test_an_expired_url_is_rejected(self) -> None:
        self.send("PUT", "/a", b"executable")
        scope = f"{self.aws.account}%2F20200101%2Fus-east-1%2Fs3%2Faws4_request"
        query = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={scope}&X-Amz-Date=20200101T000000Z"
            "&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
        )
        answer = self.send("GET", f"/a?{query}")
        self.assertEqual(answer.status, 403)
        self.assertIn(b"<Message>Request has expired</Message>", answer.body)


class Operations(Bucket):
    def test_operations_are_counted_by_name(self) -> None:
        for method in ("PUT", "GET", "HEAD"):
            self.send(method, "/a/b", b"x" if method == "PUT" else b"")
        counts = self.aws.control("GET", "/_calls")
        for name in ("CreateBucket", "PutObject", "GetObject", "HeadObject"):
            self.assertEqual(counts[name], 1, name)

    def test_a_fault_is_an_error_of_s3(self) -> None:
        for method, name in (("PUT", "PutObject"), ("HEAD", "HeadObject")):
            self.aws.fault(target=name, status=403, type="AccessDenied", message="no <access>")
            answer = self.send(method, "/a", b"x" if method == "PUT" else b"")
            self.assertEqual(answer.status, 403)
            if method == "PUT":
                self.assertIn(b"<Code>AccessDenied</Code><Message>no &lt;access&gt;</Message>", answer.body)
            else:
                self.assertEqual(answer.body, b"")
