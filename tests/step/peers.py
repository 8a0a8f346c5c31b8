"""Scripted hosts, and a client that sends what it is told: for what real servers and clients will not do.

A Host answers enough of IMAP by itself that an account can be mirrored and its (empty) mailboxes moved; a test lays
answers over that for the commands of its user. One thread per connection; every wait has an end.
"""

import base64
import re
import socket
import threading
import time

WAIT = 10


class Gone(Exception):
    """The other side closed the connection."""


class Wire:
    """A socket read by lines and counts."""

    def __init__(self, sock):
        self.sock, self.data = sock, b''
        sock.settimeout(WAIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fill(self):
        try:
            got = self.sock.recv(65536)
        except ConnectionError:
            got = b''
        if not got:
            raise Gone()
        self.data += got

    def line(self):
        while b'\r\n' not in self.data:
            self.fill()
        line, self.data = self.data.split(b'\r\n', 1)
        return line

    def exactly(self, n):
        while len(self.data) < n:
            self.fill()
        got, self.data = self.data[:n], self.data[n:]
        return got

    def send(self, data, slow=False):
        try:
            if not slow:
                self.sock.sendall(data)
                return
            for i in range(len(data)):
                self.sock.sendall(data[i:i + 1])
                if i % 16 == 0:
                    time.sleep(0.0005)
        except OSError:
            raise Gone()

    def close(self):
        self.sock.close()


def literal(data):
    return b'{%d}\r\n%s' % (len(data), data)


class Host:
    """validity and next are those of every mailbox; caps its capabilities; sep its separator, prefix its namespace, shared a second one."""

    shared = None

    def __init__(self, caps, validity, uidnext, sep, prefix='', slow=False):
        self.caps, self.validity, self.next = caps, validity, uidnext
        self.sep, self.prefix, self.slow = sep, prefix, slow
        self.users = {}  # user -> Scripted
        self.down = False
        self.server = socket.create_server(('127.0.0.1', 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def user(self, name, boxes=('INBOX',)):
        self.users[name] = Scripted(boxes)
        return self.users[name]

    def accept(self):
        while True:
            sock, _ = self.server.accept()
            if self.down:
                sock.close()
                continue
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            Served(self, Wire(sock)).run()
        except (Gone, OSError):
            pass
        finally:
            sock.close()


class Scripted:
    """What one user's connections answer. rules: [(pattern, answer)], the first match counts. An answer is bytes, in which
    %T is the tag, or a function of (connection, tag, command). seen: all commands of all connections."""

    def __init__(self, boxes):
        self.boxes, self.rules, self.seen = list(boxes), [], []
        self.conns = []  # that signed in, in the order of their last command
        self.lost = 0  # connections that ended in the middle of a command
        self.cut = None  # a connection ends after so many bytes of answers

    def on(self, pattern, answer):
        self.rules.insert(0, (re.compile(pattern, re.S | re.I), answer))

    def saw(self, pattern, seconds=WAIT):
        """The first command seen that matches; waits for it."""
        end = time.monotonic() + seconds
        while True:
            for line in list(self.seen):
                if re.match(pattern, line, re.S | re.I):
                    return line
            assert time.monotonic() < end, 'not seen: %r among %r' % (pattern, self.seen[-20:])
            time.sleep(0.01)


class Served:
    """One connection of a Host."""

    def __init__(self, host, wire):
        self.host, self.wire, self.script = host, wire, Scripted(())
        self.user, self.sent = None, 0

    def send(self, data):
        if self.script.cut is None:
            self.wire.send(data, self.host.slow)
            return
        left = self.script.cut - self.sent
        self.sent += len(data)
        self.wire.send(data[:max(left, 0)], self.host.slow)
        if left < len(data):
            raise Gone()

    def command(self):
        """(tag, command), literals inline as {n}CRLF bytes."""
        text = self.wire.line()
        tag, text = text.split(b' ', 1)
        try:
            while True:
                m = re.search(rb'\{(\d+)(\+?)\}$', text)
                if not m:
                    return tag, text
                rule = self.find(text)
                if rule is not None and rule[0].pattern.endswith(rb'\}$'):
                    self.answer(tag, text, rule[1])
                    return None, None
                if not m.group(2):
                    self.send(b'+ go on\r\n')
                text += b'\r\n' + self.wire.exactly(int(m.group(1)))
                text += self.wire.line()
        except Gone:
            self.script.lost += 1
            raise

    def find(self, text):
        for rule in self.script.rules:
            if rule[0].match(text):
                return rule
        return None

    def answer(self, tag, text, what):
        if callable(what):
            what(self, tag, text)
        else:
            self.send(what.replace(b'%T', tag))

    def run(self):
        self.send(b'* OK [CAPABILITY %s] scripted\r\n' % self.host.caps)
        while True:
            tag, text = self.command()
            if tag is None:
                continue
            self.script.seen.append(text)
            self.script.conns = [x for x in self.script.conns if x is not self] + [self]
            rule = self.find(text)
            if rule is not None:
                self.answer(tag, text, rule[1])
            else:
                self.usual(tag, text)

    def usual(self, tag, text):
        word = text.split(b' ')[0].upper()
        if word == b'AUTHENTICATE' and not self.known(text):
            self.send(tag + b' NO [AUTHENTICATIONFAILED] no\r\n')
            return
        method = getattr(self, 'do_' + word.decode().lower(), None)
        if method:
            method(tag, text)
        self.send(tag + b' OK done\r\n')

    def do_capability(self, _, __):
        self.send(b'* CAPABILITY %s\r\n' % self.host.caps)

    def known(self, text):
        self.user = base64.b64decode(text.split(b' ')[2]).split(b'\0')[1].decode()
        self.script = self.host.users.get(self.user, self.script)
        return self.user in self.host.users

    def do_namespace(self, _, __):
        sep = self.host.sep.encode()
        shared = b'(("%s" "%s"))' % (self.host.shared.encode(), sep) if self.host.shared else b'NIL'
        self.send(b'* NAMESPACE (("%s" "%s")) NIL %s\r\n' % (self.host.prefix.encode(), sep, shared))

    def do_list(self, _, text):
        names = self.script.boxes if not text.endswith(b'""') else ['']
        for name in names:
            self.send(b'* LIST (\\HasNoChildren) "%s" "%s"\r\n' % (self.host.sep.encode(), name.encode()))

    def do_create(self, _, text):
        self.script.boxes.append(text.split(b' ', 1)[1].strip(b'"').decode())

    def do_select(self, _, __):
        self.send(b'* FLAGS (\\Seen)\r\n* 0 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %d] .\r\n* OK [UIDNEXT %d] .\r\n'
                  % (self.host.validity, self.host.next))

    do_examine = do_select

    def do_status(self, _, text):
        name = re.match(rb'STATUS ("(?:[^"\\]|\\.)*"|\S+) ', text, re.I).group(1)
        self.send(b'* STATUS %s (MESSAGES 0 UIDNEXT %d UIDVALIDITY %d UNSEEN 0 RECENT 0)\r\n'
                  % (name, self.host.next, self.host.validity))

    def do_logout(self, _, __):
        self.send(b'* BYE\r\n')


class Client:
    """Sends bytes and reads lines; literals of the server come inline."""

    def __init__(self, port, slow=False):
        self.wire = Wire(socket.create_connection(('127.0.0.1', port), timeout=WAIT))
        self.slow, self.n = slow, 0
        self.greeting = self.line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def send(self, data):
        self.wire.send(data, self.slow)

    def line(self):
        line = self.wire.line()
        while True:
            m = re.search(rb'\{(\d+)\}$', line)
            if not m:
                return line
            line += b'\r\n' + self.wire.exactly(int(m.group(1)))
            line += self.wire.line()

    def until(self, tag):
        """(lines before the tagged reply, the tagged reply without its tag)."""
        lines = []
        while True:
            line = self.line()
            if line.startswith(tag + b' '):
                return lines, line[len(tag) + 1:]
            lines.append(line)

    def cmd(self, text):
        self.n += 1
        tag = b'c%d' % self.n
        self.send(tag + b' ' + text + b'\r\n')
        return self.until(tag)

    def ok(self, text):
        lines, reply = self.cmd(text)
        assert reply.startswith(b'OK'), (text, reply)
        return lines

    def login(self, user):
        self.ok(b'LOGIN %s pw' % user.encode())

    def rest(self):
        """All that comes until the server closes."""
        try:
            while True:
                self.wire.fill()
        except Gone:
            return self.wire.data
