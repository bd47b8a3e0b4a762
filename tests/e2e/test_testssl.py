"""What testssl.sh says of an https listener: no finding above LOW. It takes minutes, so it runs by command: COGI_SLOW=1."""

import json
import os
import shutil
import subprocess
import unittest

from harness import case, paths

SEVERE = {"MEDIUM", "HIGH", "CRITICAL", "FATAL"}
# What testssl.sh says of the test's certificate and not of the server: nobody publishes revocations of it, and without a name
# server there is nothing about it in DNS.
OF_THE_CERTIFICATE = {"cert_revocation", "cert_crlDistributionPoints", "cert_ocspURL", "cert_chain_of_trust", "cert_trust", "DNS_CAArecord"}

# What a careful site says in its answers, which testssl.sh asks for, too.
HEADERS = {"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
           "Content-Security-Policy": "default-src 'self'", "Referrer-Policy": "no-referrer"}


@unittest.skipUnless(os.environ.get("COGI_SLOW"), "slow, COGI_SLOW=1 runs it")
@unittest.skipUnless(shutil.which("testssl"), "needs Debian's testssl.sh")
class TestSsl(case.E2eTest):
    def make_certificate(self):
        """A certificate for localhost by an authority of its own; returns the authority's file."""
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem")
        with open(os.path.join(self.folder, "extensions"), "w", encoding="ascii") as file:
            file.write("subjectAltName=DNS:localhost\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "180",
                "-extfile", "extensions", "-out", "cert.pem")
        return os.path.join(self.folder, "ca.pem")

    def test_nothing_above_low_is_found(self):
        authority = self.make_certificate()
        port = paths.free_port()
        cogi = self.start_cogi(
            {"workers": 1, "routes": [{"path": "/", "native": "hello", "headers": HEADERS}]},
            also_listen=[{"address": f"https:127.0.0.1:{port}",
                          "tls": {"certificate": f"{self.folder}/cert.pem", "key": f"{self.folder}/key.pem"}}])
        report = os.path.join(self.folder, "report.json")
        subprocess.run(["testssl", "--quiet", "--warnings", "off", "--color", "0", "--add-ca", authority, "--ip", "127.0.0.1", "--nodns", "min",
                        "--jsonfile", report, f"localhost:{port}"], stdin=subprocess.DEVNULL, capture_output=True, timeout=900)
        with open(report, encoding="utf-8") as file:
            findings = json.load(file)
        print("\n" + "\n".join(f"{found['severity']:9} {found['id']}: {found['finding']}" for found in findings
                               if found["severity"] not in ("OK", "INFO")))
        self.assertGreater(len(findings), 100, "testssl.sh did not get through")
        severe = [found for found in findings if found["severity"] in SEVERE
                  and not any(found["id"].startswith(name) for name in OF_THE_CERTIFICATE)]
        self.assertEqual(severe, [])
        self.assertEqual(len(cogi.workers()), 1)


if __name__ == "__main__":
    unittest.main()
