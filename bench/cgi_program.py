#!/usr/bin/env python3
"""The same CGI source in process, by exec, under fcgiwrap and under lighttpd's mod_cgi: cogi in process and fcgiwrap behind the same nginx
on one core, and everything that speaks HTTP asked directly. Exec and mod_cgi, which differ least, take turns; the median of the rounds
counts."""

import os
import statistics

from measure import PROGRAMS, SECONDS, SERVER_CORE, Bench, paths, servers, table, verdict, wrk

CONNECTIONS = 32
ROUNDS = int(os.environ.get("COGI_BENCH_ROUNDS", "5"))
LIGHTTPD = """
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ( "mod_cgi" )
server.max-keep-alive-requests = 100000
server.errorlog = "{folder}/lighttpd-error.log"
cgi.assign = ( "" => "" )
"""


def lighttpd(bench, script):
    """lighttpd that runs the folder of `script` by mod_cgi; returns its port."""
    folder = os.path.join(bench.folder, "lighttpd")
    os.mkdir(folder)
    port = paths.free_port()
    path = os.path.join(folder, "lighttpd.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(LIGHTTPD.format(root=os.path.dirname(script), port=port, folder=folder))
    server = servers.Server(folder, [paths.tool("lighttpd"), "-D", "-f", path], prefix=SERVER_CORE)
    bench.callback(server.kill)
    server.wait_for(lambda: servers.answers(("127.0.0.1", port)), "lighttpd")
    return port


def main():
    with Bench() as bench:
        script = bench.copy_program("page", "cgi-bin")
        cogi = bench.cogi([{"path": "/page.cgi", "program": f"{PROGRAMS}/page.cgi"},
                           {"path": "/exec", "exec": script}], limits={"keep_alive_requests": 100_000_000})
        wrapped = bench.fcgiwrap(8)
        nginx = bench.nginx(cogi, f"""
            location /page.cgi {{ include /etc/nginx/fastcgi_params; fastcgi_pass cogi_fastcgi; fastcgi_keep_conn on; }}
            location /wrapped {{
              include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {script}; fastcgi_pass unix:{wrapped};
            }}""")
        light = lighttpd(bench, script)
        loads = {name: wrk(f"http://127.0.0.1:{port}{path}?a=b", CONNECTIONS) for name, port, path in (
            ("cogi in process, HTTP directly", cogi.port, "/page.cgi"),
            ("cogi in process, behind nginx", nginx.port, "/page.cgi"),
            ("fcgiwrap, behind nginx", nginx.port, "/wrapped"))}
        rounds = [[wrk(f"http://127.0.0.1:{port}{path}?a=b", CONNECTIONS, max(SECONDS // 2, 1))
                   for port, path in ((cogi.port, "/exec"), (light, "/page"))] for _ in range(ROUNDS)]
    direct, behind, fcgiwrap = loads.values()
    by_exec, mod_cgi = (sorted(column, key=lambda load: load.per_second)[ROUNDS // 2] for column in zip(*rounds))
    loads["cogi by exec, HTTP directly"], loads["lighttpd mod_cgi, HTTP directly"] = by_exec, mod_cgi
    ratios = [ours.per_second / theirs.per_second for ours, theirs in rounds]
    table(f"One CGI source, {CONNECTIONS} connections, all servers on one core",
          ["", "requests/s", "times fcgiwrap", "p50 ms", "p99 ms", "errors"],
          [[name, load.per_second, load.per_second / fcgiwrap.per_second, load.p50, load.p99, str(load.errors)]
           for name, load in loads.items()])
    verdict("behind nginx, in process / fcgiwrap", behind.per_second / fcgiwrap.per_second, 8)
    verdict("directly, in process / fcgiwrap", direct.per_second / fcgiwrap.per_second, 25)
    verdict("directly, in process / lighttpd mod_cgi", direct.per_second / mod_cgi.per_second, 25)
    verdict(f"directly, exec / lighttpd mod_cgi (of {ROUNDS} rounds: {min(ratios):.2f} to {max(ratios):.2f})",
            statistics.median(ratios), 1.3)


if __name__ == "__main__":
    main()
