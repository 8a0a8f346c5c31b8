"""A scripted calendar host, and a client that sends what it is told."""

import base64
import re
import socket
import threading
import time

from peers import WAIT, Gone, Wire

PRINCIPAL = b'''<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>/</D:href><D:propstat><D:prop>
<D:current-user-principal><D:href>/%s/</D:href></D:current-user-principal></D:prop><D:status>HTTP/1.1 200 OK</D:status>
</D:propstat></D:response></D:multistatus>'''


def http(status, body=b'', *fields):
    return b'HTTP/1.1 %d Whatever\r\n%sContent-Length: %d\r\n\r\n%s' % (status, b''.join(f + b'\r\n' for f in fields), len(body), body)


class Request:
    def __init__(self, line, fields):
        self.line, self.fields, self.body = line, fields, b''
        self.method, self.target, self.version = line.split(b' ')

    def field(self, name):
        got = [v for n, v in self.fields if n.lower() == name.lower()]
        return got[0] if got else None


class DavHost:
    """Knows everybody whose password is pw. A test lays answers over that with on(method, target pattern, answer): bytes or a function of
    (connection, request). seen: the requests with a name, without the questions about passwords."""

    def __init__(self):
        self.server = socket.create_server(('127.0.0.1', 0))
        self.port = self.server.getsockname()[1]
        self.reset()
        threading.Thread(target=self.accept, daemon=True).start()

    def reset(self):
        self.rules, self.seen, self.asked, self.down = [], [], 0, False

    def on(self, method, pattern, answer):
        self.rules.insert(0, (method, re.compile(pattern), answer))

    def accept(self):
        while True:
            sock, _ = self.server.accept()
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        wire = Wire(sock)
        try:
            while not self.down:
                self.one(wire)
        except (Gone, OSError):
            pass
        finally:
            sock.close()

    def one(self, wire):
        wire.sock.settimeout(60)
        line = wire.line()
        fields = []
        while True:
            more = wire.line()
            if not more:
                break
            name, value = more.split(b':', 1)
            fields.append((name, value.strip()))
        r = Request(line, fields)
        if r.field(b'Expect'):
            wire.send(b'HTTP/1.1 100 Continue\r\n\r\n')
        if r.field(b'Content-Length'):
            r.body = wire.exactly(int(r.field(b'Content-Length')))
        elif r.field(b'Transfer-Encoding'):
            r.body = self.chunks(wire)
        wire.send(self.answer(wire, r))

    def chunks(self, wire):
        body = b''
        while True:
            n = int(wire.line().split(b';')[0], 16)
            body += wire.exactly(n)
            assert wire.line() == b''
            if n == 0:
                return body

    def answer(self, wire, r):
        user, password = b'', b''
        if r.field(b'Authorization'):
            user, password = base64.b64decode(r.field(b'Authorization').split(b' ')[1]).split(b':', 1)
        if r.method == b'PROPFIND' and r.target == b'/ask/':
            self.asked += 1
            if password != b'pw':
                return http(401, b'', b'WWW-Authenticate: Basic realm="The old place"')
            return http(207, PRINCIPAL % user, b'Content-Type: text/xml')
        self.seen.append(r)
        for method, pattern, answer in self.rules:
            if method in (r.method.decode(), '*') and pattern.match(r.target.decode()):
                return answer(wire, r) if callable(answer) else answer
        return http(404)

    def saw(self, method, seconds=WAIT):
        end = time.monotonic() + seconds
        while True:
            for r in list(self.seen):
                if r.method == method:
                    return r
            assert time.monotonic() < end, 'not seen: %r among %r' % (method, [x.line for x in self.seen])
            time.sleep(0.01)


class Reply:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def field(self, name):
        got = [v for n, v in self.fields if n.lower() == name.lower()]
        return got[0] if got else None

    def __repr__(self):
        return '%d %r %r' % (self.status, self.fields, self.body[:200])


class DavClient:
    def __init__(self, port, slow=False):
        self.wire, self.slow = Wire(socket.create_connection(('127.0.0.1', port), timeout=WAIT)), slow

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.wire.close()

    def send(self, data):
        self.wire.send(data, self.slow)

    def reply(self, method=b'GET'):
        status = int(self.wire.line().split(b' ')[1])
        fields = []
        while True:
            line = self.wire.line()
            if not line:
                break
            name, value = line.split(b': ', 1)
            fields.append((name, value))
        r = Reply(status, fields, b'')
        if status < 200 or status in (204, 304) or method == b'HEAD':
            return r
        if r.field(b'Content-Length'):
            r.body = self.wire.exactly(int(r.field(b'Content-Length')))
        elif r.field(b'Transfer-Encoding') == b'chunked':
            while True:
                n = int(self.wire.line(), 16)
                r.body += self.wire.exactly(n)
                assert self.wire.line() == b''
                if n == 0:
                    break
        else:
            r.body = self.rest()
        return r

    def ask(self, method, target, user, body=None, *fields, password='pw'):
        self.send(request(method, target, user, body, *fields, password=password))
        return self.reply(method)

    def rest(self):
        try:
            while True:
                self.wire.fill()
        except Gone:
            got, self.wire.data = self.wire.data, b''
            return got


def request(method, target, user, body=None, *fields, password='pw'):
    lines = [b'%s %s HTTP/1.1' % (method, target), b'Host: dav.test']
    if user:
        lines.append(b'Authorization: Basic ' + base64.b64encode(b'%s:%s' % (user.encode(), password.encode())))
    if body is not None:
        lines.append(b'Content-Length: %d' % len(body))
    return b'\r\n'.join(lines + list(fields)) + b'\r\n\r\n' + (body or b'')
