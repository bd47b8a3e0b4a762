"""Web servers in front of cogi, one class each: they all pass everything on, and differ only in who asks and how."""

import os
import pwd

from . import paths, servers


class Direct:
    """Nobody in front: cogi's own HTTP."""

    def __init__(self, folder, cogi):
        self.http = cogi.http

    def kill(self):
        pass

    def errors(self):
        return []


class NginxFastCgi(servers.Nginx):
    def __init__(self, folder, cogi):
        super().__init__(folder, cogi, servers.FASTCGI_PASS.replace(
            "fastcgi_keep_conn on;", "fastcgi_keep_conn on; fastcgi_buffering off; fastcgi_request_buffering off;"))


class NginxProxy(servers.Nginx):
    def __init__(self, folder, cogi):
        super().__init__(folder, cogi, servers.PROXY_PASS.replace(
            "proxy_set_header Host $host;", "proxy_set_header Host $host; proxy_buffering off; proxy_request_buffering off;"))


class NginxScgi(servers.Nginx):
    """The request is buffered: nginx counts only what has come so far into CONTENT_LENGTH otherwise."""

    def __init__(self, folder, cogi):
        super().__init__(folder, cogi, f"""location / {{
  include /etc/nginx/scgi_params;
  scgi_pass unix:{cogi.scgi};
  scgi_buffering off;
}}""")


class Front(servers.Server):
    """A web server with a configuration of its own, on a free port."""

    PROGRAM = None
    CONFIG = None

    def __init__(self, folder, cogi):
        self.port = paths.free_port()
        self.http = ("127.0.0.1", self.port)
        self.error_log = os.path.join(folder, "front-error.log")
        user = pwd.getpwuid(os.geteuid()).pw_name
        path = os.path.join(folder, "front.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.CONFIG.format(port=self.port, folder=folder, fastcgi=cogi.fastcgi, cogi_port=cogi.port, user=user,
                                          error_log=self.error_log, fastcgi_port=getattr(cogi, "fastcgi_port", 0)))
        super().__init__(folder, self.command(path), environment={**os.environ, "HOME": folder})
        self.wait_for(lambda: servers.answers(self.http), self.PROGRAM)

    def errors(self):
        return []


class Lighttpd(Front):
    PROGRAM = "lighttpd"
    CONFIG = """
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ( "mod_fastcgi" )
server.errorlog = "{error_log}"
server.stream-response-body = 2
server.stream-request-body = 1
server.max-request-field-size = 32768
fastcgi.server = ( "/" => (( "socket" => "{fastcgi}", "check-local" => "disable", "fix-root-scriptname" => "enable" )) )
"""

    def command(self, path):
        return [paths.tool("lighttpd"), "-D", "-f", path]


class Apache(Front):
    PROGRAM = "apache2"
    CONFIG = """
ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
ErrorLog {error_log}
Mutex file:{folder} default
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so
LimitRequestFields 200
StartServers 1
ThreadLimit 512
ThreadsPerChild 512
MaxRequestWorkers 512
ProxyFCGIBackendType GENERIC
ProxyPass "/" "unix:{fastcgi}|fcgi://localhost/" enablereuse=on flushpackets=on
"""

    def command(self, path):
        return [paths.tool("apache2"), "-D", "FOREGROUND", "-f", path]


class GuardedApache(Apache):
    """mod_authnz_fcgi asks an authorizer before each request. It knows TCP only: cogi listens at cogi.fastcgi_port."""

    CONFIG = Apache.CONFIG + """
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule auth_basic_module /usr/lib/apache2/modules/mod_auth_basic.so
LoadModule authnz_fcgi_module /usr/lib/apache2/modules/mod_authnz_fcgi.so
AuthnzFcgiDefineProvider authn gate fcgi://127.0.0.1:{fastcgi_port}/
<Location "/">
  AuthType Basic
  AuthName gate
  AuthBasicProvider gate
  Require valid-user
</Location>
"""


class GuardedLighttpd(Lighttpd):
    """Its authorizer mode."""

    CONFIG = Lighttpd.CONFIG.replace("fastcgi.server = (", """fastcgi.server = (
  "/" => (( "socket" => "{fastcgi}", "mode" => "authorizer", "check-local" => "disable" )),
""").replace('"/" => (( "socket" => "{fastcgi}", "check-local"', '".cgi" => (( "socket" => "{fastcgi}", "check-local"')


class Caddy(Front):
    PROGRAM = "caddy"
    CONFIG = """
{{
  admin off
  auto_https off
  storage file_system {folder}
}}
http://:{port} {{
  bind 127.0.0.1
  reverse_proxy unix/{fastcgi} {{
    transport fastcgi
    flush_interval -1
  }}
}}
"""

    def command(self, path):
        return [paths.tool("caddy"), "run", "--adapter", "caddyfile", "--config", path]


class HaProxy(Front):
    PROGRAM = "haproxy"
    CONFIG = """
global
  maxconn 4000
  tune.http.maxhdr 200
  tune.bufsize 65536
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend web
  bind 127.0.0.1:{port}
  default_backend cogi
backend cogi
  use-fcgi-app cogi
  server one unix@{fastcgi} proto fcgi
fcgi-app cogi
  docroot {folder}
  option keep-conn
  option get-values
  option mpxs-conns
"""

    def command(self, path):
        return [paths.tool("haproxy"), "-db", "-f", path]


FRONTS = {"direct": Direct, "nginx-fastcgi": NginxFastCgi, "nginx-proxy": NginxProxy, "nginx-scgi": NginxScgi, "lighttpd": Lighttpd, "apache": Apache,
          "haproxy": HaProxy}
