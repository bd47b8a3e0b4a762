#!/usr/bin/env python3
"""The same CGI source in process and under fcgiwrap: both behind the same nginx on one core, and cogi's HTTP asked directly."""

from measure import PROGRAMS, Bench, table, verdict, wrk

CONNECTIONS = 32


def main():
    with Bench() as bench:
        cogi = bench.cogi([{"path": "/page.cgi", "program": f"{PROGRAMS}/page.cgi"}],
                          limits={"keep_alive_requests": 100_000_000})
        wrapped = bench.fcgiwrap(8)
        script = bench.copy_program("page")
        nginx = bench.nginx(cogi, f"""
            location /page.cgi {{ include /etc/nginx/fastcgi_params; fastcgi_pass cogi_fastcgi; fastcgi_keep_conn on; }}
            location /wrapped {{
              include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {script}; fastcgi_pass unix:{wrapped};
            }}""")
        direct = wrk(f"http://127.0.0.1:{cogi.port}/page.cgi?a=b", CONNECTIONS)
        behind = wrk(f"http://127.0.0.1:{nginx.port}/page.cgi?a=b", CONNECTIONS)
        theirs = wrk(f"http://127.0.0.1:{nginx.port}/wrapped?a=b", CONNECTIONS)
    table(f"One CGI source, {CONNECTIONS} connections, all servers on one core",
          ["", "requests/s", "times fcgiwrap", "p50 ms", "p99 ms", "errors"],
          [[name, load.per_second, load.per_second / theirs.per_second, load.p50, load.p99, str(load.errors)]
           for name, load in (("cogi in process, HTTP directly", direct), ("cogi in process, behind nginx", behind),
                              ("fcgiwrap, behind nginx", theirs))])
    verdict("behind nginx, cogi / fcgiwrap", behind.per_second / theirs.per_second, 8)
    verdict("directly, cogi / fcgiwrap", direct.per_second / theirs.per_second, 20)


if __name__ == "__main__":
    main()
