"""A proxy that writes down every request and reply of calendar and contact clients, to count what was transferred and to look for
what must not be seen."""

import gzip
import http.client
import http.server
import socket
import ssl
import threading
import xml.etree.ElementTree as ET

from . import webdav

WRITES = {'PUT', 'POST', 'DELETE', 'MOVE', 'COPY', 'MKCOL', 'MKCALENDAR', 'PROPPATCH'}
HOPS = {'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'te', 'trailer', 'upgrade', 'proxy-connection'}


class Cut(OSError):
    """Raised by a fault: the client's connection is reset."""


class Exchange:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.status, self.reply_headers, self.reply = None, [], b''

    def __repr__(self):
        return '%s %s -> %s, %d bytes' % (self.method, self.path, self.status, len(self.reply))

    def plain(self):
        """The reply's body without its encoding."""
        coding = dict((k.lower(), v) for k, v in self.reply_headers).get('content-encoding')
        return gzip.decompress(self.reply) if coding == 'gzip' and self.reply else self.reply

    def items(self):
        """Hrefs of the items whose content came in this reply."""
        if self.method == 'GET' and self.status == 200:
            kind = dict((k.lower(), v) for k, v in self.reply_headers).get('content-type', '')
            return [self.path] if 'calendar' in kind or 'vcard' in kind else []
        if self.status != 207:
            return []
        try:
            root = ET.fromstring(self.plain())
        except ET.ParseError:
            return []
        return [r.findtext(webdav.q('D:href')) for r in root.findall(webdav.q('D:response'))
                if any(p.text and 'BEGIN:' in p.text for name in ('C:calendar-data', 'A:address-data')
                       for p in r.iter(webdav.q(name)))]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = 120

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.up = self.towards = None

    def finish(self):
        if self.up:
            self.up.close()
        try:
            super().finish()
        except OSError:
            pass

    def body(self):
        if 'chunked' in self.headers.get('Transfer-Encoding', '').lower():
            out = b''
            while True:
                n = int(self.rfile.readline().split(b';')[0], 16)
                out += self.rfile.read(n)
                self.rfile.readline()
                if not n:
                    return out
        n = self.headers.get('Content-Length')
        return self.rfile.read(int(n)) if n else None

    def forward(self, x):
        """Ask the server, unless the test has something else to say: `fault` is called with each exchange before it goes on
        and after it came back; it may set x.status and x.reply, or raise OSError, which ends the connection."""
        recorder = self.server.recorder
        if recorder.fault:
            recorder.fault(x, False)
            if x.status:
                return
        self.ask(x, recorder)
        if recorder.fault:
            recorder.fault(x, True)

    def ask(self, x, recorder):
        for attempt in (0, 1):
            fresh = self.up is None or self.towards != recorder.target
            if fresh:
                if self.up:
                    self.up.close()
                self.towards = recorder.target
                port, ca = self.towards
                self.up = http.client.HTTPSConnection('127.0.0.1', port, timeout=120, context=ssl.create_default_context(
                    cafile=ca)) if ca else http.client.HTTPConnection('127.0.0.1', port, timeout=120)
            try:
                self.up.putrequest(x.method, x.path, skip_host=True, skip_accept_encoding=True)
                for k, v in x.headers:
                    if k.lower() not in HOPS and k.lower() != 'expect':
                        self.up.putheader(k, v)
                if x.body is not None:
                    self.up.putheader('Content-Length', str(len(x.body)))
                self.up.endheaders(x.body)
                r = self.up.getresponse()
                x.status, x.reply_headers, x.reply = r.status, r.getheaders(), r.read()
                if r.will_close:
                    self.up.close()
                    self.up = None
                return
            except (http.client.HTTPException, OSError):
                self.up.close()
                self.up = None
                if fresh or attempt:
                    raise

    def any(self):
        x = Exchange(self.command, self.path, self.headers.items(), self.body())
        self.server.recorder.exchanges.append(x)
        try:
            self.forward(x)
        except Cut:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            return
        except (http.client.HTTPException, OSError) as e:
            x.status = 502
            x.reply = repr(e).encode()
        self.send_response_only(x.status)
        for k, v in x.reply_headers:
            if k.lower() not in HOPS:
                self.send_header(k, v)
        if x.status not in (204, 304):
            self.send_header('Content-Length', str(len(x.reply)))
        self.end_headers()
        if self.command != 'HEAD' and x.status not in (204, 304):
            self.wfile.write(x.reply)

    def __getattr__(self, name):
        if name.startswith('do_'):
            return self.any
        raise AttributeError(name)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that goes away


class Recorder:
    """Listens on `port`, plain; `target` is (port, ca), with TLS where there is a ca, and may be set to another one at any time.
    It can also stand between wherryd and a host: url() is what the configuration needs."""

    def __init__(self, place, port, ca=None, fault=None):
        self.place, self.target, self.fault = place, (port, ca), fault
        self.exchanges = []
        self.port = place.port()
        self.server = Server(('127.0.0.1', self.port), Handler)
        self.server.recorder = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        place.running.append(self)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)
        if self in self.place.running:
            self.place.running.remove(self)

    def url(self, tls=False):
        return 'http://127.0.0.1:%d/' % self.port

    def mark(self):
        """Forget what was so far."""
        self.exchanges = []

    def downloads(self):
        return [h for x in self.exchanges for h in x.items()]

    def writes(self):
        return [x for x in self.exchanges if x.method in WRITES and x.status and x.status < 300]

    def uploads(self):
        return [x for x in self.writes() if x.method in ('PUT', 'POST')]

    def errors(self):
        return [x for x in self.exchanges if x.status and x.status >= 500]

    def text(self):
        """All that the server said: status lines left out, header fields and bodies."""
        return b'\n'.join(b'\n'.join(('%s: %s' % h).encode() for h in x.reply_headers) + b'\n' + x.plain() for x in self.exchanges)
