#!/usr/bin/env python3
"""1,000 clients through nginx ask a program that waits 100 ms: one worker of cogi with the CGI program in process, against 64 libfcgi
processes under spawn-fcgi. The ideal of both is what the wait allows: 10,000/s for 1,000 clients, 640/s for 64 processes."""

from measure import PROGRAMS, Bench, table, verdict, wrk

CLIENTS = 1000
PROCESSES = 64


def main():
    with Bench() as bench:
        cogi = bench.cogi([{"path": "/sleeper.cgi", "program": f"{PROGRAMS}/sleeper.cgi"}])
        prefork = bench.spawn_fcgi([f"{PROGRAMS}/sleeper_fcgi"], PROCESSES, "libfcgi")
        nginx = bench.nginx(cogi, f"""
            location /sleeper.cgi {{ include /etc/nginx/fastcgi_params; fastcgi_pass cogi_fastcgi; fastcgi_keep_conn on; }}
            location /prefork {{ include /etc/nginx/fastcgi_params; fastcgi_pass unix:{prefork}; }}
            """, keepalive=CLIENTS)
        base = f"http://127.0.0.1:{nginx.port}"
        ours = wrk(f"{base}/sleeper.cgi", CLIENTS)
        theirs = wrk(f"{base}/prefork", CLIENTS)
    table(f"{CLIENTS} clients through nginx, a program that waits 100 ms",
          ["", "requests/s", "p50 ms", "p99 ms", "errors"],
          [["cogi, 1 worker, CGI in process", ours.per_second, ours.p50, ours.p99, str(ours.errors)],
           [f"libfcgi, {PROCESSES} processes", theirs.per_second, theirs.p50, theirs.p99, str(theirs.errors)]])
    verdict("throughput, cogi / libfcgi", ours.per_second / theirs.per_second, 14)


if __name__ == "__main__":
    main()
