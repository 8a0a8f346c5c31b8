"""An IMAP client for tests.

imaplib hides what these tests look at: which line came before which, codes of untagged replies, the exact
spelling of a mailbox name. So there is a small client here that parses every reply into plain lists and keeps
all of them, and that can also be driven line by line (send, expect) for dialogues that no sane client holds.

A parsed value is bytes for an atom or a string, None for NIL, an int never (compare bytes), a list for a
parenthesised list. Quoted strings and atoms are told apart nowhere but in `Quoted`, a subclass of bytes.
"""

import base64
import re
import socket
import ssl
import time
import zlib

TIMEOUT = 60


class Failure(Exception):
    """A command was answered otherwise than the test needs."""


class Quoted(bytes):
    """A quoted string or a literal, as opposed to an atom."""


class Line:
    """One reply line, literals included: `raw` is a list of bytes alternating text, literal, text ..."""

    def __init__(self, parts):
        self.parts = parts

    @property
    def text(self):
        return b''.join(p if i % 2 == 0 else b'"' + p + b'"' for i, p in enumerate(self.parts))

    def __repr__(self):
        t = self.text
        return repr(t if len(t) < 300 else t[:300] + b'...')


class Parser:
    """Turn the parts of a line into values."""

    def __init__(self, parts):
        self.parts, self.part, self.pos = parts, 0, 0

    def more(self):
        return self.part < len(self.parts) - 1 or self.pos < len(self.parts[self.part].rstrip(b' '))

    def space(self):
        cur = self.parts[self.part]
        while self.pos < len(cur) and cur[self.pos] == 32:
            self.pos += 1

    def value(self):
        self.space()
        cur = self.parts[self.part]
        if self.pos < len(cur):
            ch = cur[self.pos:self.pos + 1]
            if ch == b'(':
                self.pos += 1
                return self.list(b')')
            if ch == b'"':
                return self.quoted()
            lit = re.compile(rb'~?\{(\d+)\}').match(cur, self.pos)
            if lit and lit.end() == len(cur) and self.part + 2 < len(self.parts):
                data = self.parts[self.part + 1]
                self.part, self.pos = self.part + 2, 0
                return Quoted(data)
            return self.atom()
        raise Failure('reply ends too early: %r' % (self.parts,))

    def list(self, close):
        out = []
        while True:
            self.space()
            cur = self.parts[self.part]
            if cur[self.pos:self.pos + 1] == close:
                self.pos += 1
                return out
            out.append(self.value())

    def quoted(self):
        cur, out, i = self.parts[self.part], bytearray(), self.pos + 1
        while cur[i:i + 1] != b'"':
            if i >= len(cur):
                raise Failure('unterminated string: %r' % (cur,))
            if cur[i:i + 1] == b'\\':
                i += 1
            out += cur[i:i + 1]
            i += 1
        self.pos = i + 1
        return Quoted(bytes(out))

    def atom(self):
        cur, i, depth = self.parts[self.part], self.pos, 0
        while i < len(cur):
            ch = cur[i:i + 1]
            if ch == b'[':
                depth += 1
            elif ch == b']' and depth:
                depth -= 1
            elif depth == 0 and ch in (b' ', b'(', b')', b'"'):
                break
            i += 1
        if i == self.pos:
            raise Failure('no atom at %d of %r' % (self.pos, cur))
        word, self.pos = cur[self.pos:i], i
        return None if word.upper() == b'NIL' else word

    def rest(self):
        out = []
        while self.more():
            out.append(self.value())
        return out


def quote(name):
    """A mailbox name or another string, as a quoted string."""
    if isinstance(name, str):
        name = name.encode()
    return b'"' + name.replace(b'\\', b'\\\\').replace(b'"', b'\\"') + b'"'


def mutf7(text):
    """Modified UTF-7 (RFC 3501 section 5.1.3)."""
    out, buf = [], []

    def flush():
        if buf:
            b64 = base64.b64encode(''.join(buf).encode('utf-16-be')).rstrip(b'=').replace(b'/', b',')
            out.append(b'&' + b64 + b'-')
            buf.clear()
    for ch in text:
        if ' ' <= ch <= '~':
            flush()
            out.append(b'&-' if ch == '&' else ch.encode())
        else:
            buf.append(ch)
    flush()
    return b''.join(out)


class Reply:
    def __init__(self, tag, status, text, untagged):
        self.tag, self.status, self.text, self.untagged = tag, status, text, untagged

    @property
    def ok(self):
        return self.status == b'OK'

    @property
    def code(self):
        m = re.match(rb'\[([^\]]*)\]', self.text)
        return m.group(1) if m else b''

    def lines(self, word):
        """Untagged replies `* WORD ...` or `* n WORD ...`, parsed."""
        out = []
        for line in self.untagged:
            m = re.match(rb'\* (?:(\d+) )?([A-Za-z0-9-]+)', line.parts[0])
            if m and m.group(2).upper() == word.upper():
                p = Parser(line.parts)
                p.pos = m.end()
                vals = p.rest()
                out.append(([m.group(1)] if m.group(1) else []) + vals)
        return out

    def codes(self, word):
        """Arguments of each code [WORD args] in untagged OK replies and in the tagged one."""
        out = []
        for text in [ln.text for ln in self.untagged] + [b'* ' + self.status + b' ' + self.text]:
            m = re.match(rb'\* (?:OK|NO|BAD|BYE) \[' + word + rb'(?: ([^\]]*))?\]', text, re.I)
            if m:
                out.append(m.group(1) or b'')
        return out

    def __repr__(self):
        return 'Reply(%r %r %r)' % (self.status, self.text, self.untagged[-20:])


class Deflated:
    """A socket whose bytes are raw DEFLATE both ways (RFC 4978); `plain` is the one beneath."""

    def __init__(self, plain):
        self.plain = plain
        self.out = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.inside = zlib.decompressobj(-15)
        self.wire = 0

    def sendall(self, data):
        self.plain.sendall(self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH))

    def inflate(self, data):
        self.wire += len(data)
        return self.inside.decompress(data)

    def recv(self, n):
        while True:
            data = self.plain.recv(n)
            got = self.inflate(data)
            if got or not data:
                return got

    def __getattr__(self, name):
        return getattr(self.plain, name)


class Conn:
    """A connection to an IMAP server. `tls` is 'implicit', 'starttls' or 'none'; `record`, a bytearray, gets what comes."""

    def __init__(self, host, port, tls='none', ca=None, timeout=TIMEOUT, greet=True, record=None, source=None):
        self.host, self.port, self.ca, self.record = host, port, ca, record
        self.sock = socket.create_connection((host, port), timeout=timeout, source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b''
        self.count = 0
        self.seen = 0
        self.unread, self.early = [], None
        self.log = []
        if tls == 'implicit':
            self.wrap()
        self.greeting = self.line() if greet else None
        if tls == 'starttls':
            self.ok(b'STARTTLS')
            self.wrap()

    def wrap(self):
        ctx = ssl.create_default_context(cafile=self.ca)
        if not self.ca:
            ctx.check_hostname = False
            ctx.verify_mode = ssl.CERT_NONE
        self.sock = ctx.wrap_socket(self.sock, server_hostname='localhost')

    def inflate_from_here(self):
        """Right behind the line that was read last."""
        self.sock = Deflated(self.sock)
        self.buf = self.sock.inflate(self.buf)

    def compress(self):
        r = self.ok(b'COMPRESS DEFLATE')
        self.inflate_from_here()
        return r

    @property
    def wire(self):
        """Compressed bytes that came."""
        return self.sock.wire

    # ---- bytes

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(262144)
        if not data:
            raise EOFError('connection closed by %s:%d; last: %r' % (self.host, self.port, self.log[-5:]))
        self.seen += len(data)
        if self.record is not None:
            self.record += data
        self.buf = self.buf + data if self.buf else data

    def exactly(self, n):
        chunks, have = [], 0
        while True:
            take = self.buf[:n - have]
            chunks.append(take)
            have += len(take)
            self.buf = self.buf[len(take):]
            if have == n:
                return b''.join(chunks)
            self.fill()

    def rawline(self):
        while b'\n' not in self.buf:
            self.fill()
        line, self.buf = self.buf.split(b'\n', 1)
        if not line.endswith(b'\r'):
            raise Failure('line ends in a bare LF: %r' % line)
        return line[:-1]

    def line(self):
        """The next reply with its literals."""
        parts = [self.rawline()]
        while True:
            m = re.search(rb'\{(\d+)\+?\}$', parts[-1])
            if not m:
                break
            parts.append(self.exactly(int(m.group(1))))
            parts.append(self.rawline())
        line = Line(parts)
        self.log = self.log[-20:] + [line.text[:200]]
        return line

    def expect(self, pattern, limit=1000):
        """Read replies up to the first whose text matches; returns (match, replies before it)."""
        before = []
        for _ in range(limit):
            line = self.line()
            m = re.match(pattern, line.text, re.S | re.I)
            if m:
                return m, before
            before.append(line)
        raise Failure('%r did not come, but: %r' % (pattern, before[-10:]))

    def expect_eof(self):
        """Read until the peer closes; returns the replies."""
        out = []
        try:
            while True:
                out.append(self.line())
        except (EOFError, ConnectionResetError, ssl.SSLError):
            return out

    def quiet(self, seconds=0.2):
        """True when nothing arrives for that long."""
        if self.buf:
            return False
        self.sock.settimeout(seconds)
        try:
            self.fill()
            return False
        except (TimeoutError, socket.timeout, ssl.SSLWantReadError):
            return True
        finally:
            self.sock.settimeout(TIMEOUT)

    # ---- commands

    def tag(self):
        self.count += 1
        return b'a%d' % self.count

    def start(self, command, tag=None):
        """Send a command without waiting for its end. Of a list each bytearray goes as a synchronising
        literal; where the server answers instead of asking for it, finish() gives that answer."""
        tag = tag or self.tag()
        pieces = command if isinstance(command, list) else [command]
        head = tag + b' '
        for p in pieces:
            if isinstance(p, bytearray):
                self.send(head + b'{%d}\r\n' % len(p))
                got, before = self.expect(rb'\+|' + re.escape(tag) + rb' (OK|NO|BAD) ?(.*)')
                self.unread += before
                if got.group(1):
                    self.early = Reply(tag, got.group(1).upper(), got.group(2), self.unread)
                    self.unread = []
                    return tag
                head = bytes(p)
            else:
                head += p.encode() if isinstance(p, str) else p
        self.send(head + b'\r\n')
        return tag

    def finish(self, tag):
        if self.early:
            early, self.early = self.early, None
            return early
        untagged, self.unread = self.unread, []
        while True:
            line = self.line()
            m = re.match(re.escape(tag) + rb' (OK|NO|BAD) ?(.*)', line.text, re.S | re.I)
            if m:
                return Reply(tag, m.group(1).upper(), m.group(2), untagged)
            untagged.append(line)

    def cmd(self, command):
        return self.finish(self.start(command))

    def ok(self, command):
        r = self.cmd(command)
        if not r.ok:
            raise Failure('%r answered %r %r' % (command if len(repr(command)) < 300 else '...', r.status, r.text))
        return r

    def no(self, command, code=None, status=b'NO'):
        r = self.cmd(command)
        if r.status != status or (code and r.code.split(b' ')[0].upper() != code.upper()):
            raise Failure('%r: wanted %r [%r], got %r %r' % (command, status, code, r.status, r.text))
        return r

    def login(self, user, password):
        return self.ok(b'LOGIN ' + quote(user) + b' ' + quote(password))

    def plain(self, user, password, authzid='', ir=True):
        token = base64.b64encode(b'\0'.join(x.encode() for x in (authzid, user, password)))
        if ir:
            return self.cmd(b'AUTHENTICATE PLAIN ' + token)
        tag = self.start(b'AUTHENTICATE PLAIN')
        self.expect(rb'\+ ?$')
        self.send(token + b'\r\n')
        return self.finish(tag)

    def capability(self):
        r = self.ok(b'CAPABILITY')
        return {x.upper() for x in r.lines(b'CAPABILITY')[0]}

    def list(self, what=b'LIST', ref=b'', pattern=b'*'):
        """[(flags, separator, name)] of LIST or LSUB."""
        r = self.ok(what + b' ' + quote(ref) + b' ' + quote(pattern))
        return [(frozenset(f.lower() for f in v[0]), v[1], v[2]) for v in r.lines(what)]

    def select(self, name, how=b'SELECT'):
        return self.ok(how + b' ' + quote(name))

    def append(self, name, body, flags=b'', date=None, plus=False):
        head = b'APPEND ' + quote(name) + (b' (' + flags + b')' if flags else b'')
        if date:
            head += b' "' + date + b'"'
        if plus and len(body) <= 4096:  # all that LITERAL- allows
            return self.cmd(head + b' {%d+}\r\n' % len(body) + body)
        return self.cmd([head + b' ', bytearray(body)])

    def noop_until(self, check, seconds=20):
        """Send NOOP until `check(reply)` is true."""
        end = time.monotonic() + seconds
        while True:
            r = self.ok(b'NOOP')
            if check(r):
                return r
            if time.monotonic() > end:
                raise Failure('NOOP never showed it')
            time.sleep(0.05)

    def logout(self):
        try:
            self.cmd(b'LOGOUT')
        except (EOFError, OSError):
            pass
        self.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def fetch_item(values, name):
    """The value after `name` in a FETCH reply's list."""
    items = values[1]
    for i in range(0, len(items) - 1, 2):
        if items[i] is not None and items[i].upper() == name.upper():
            return items[i + 1]
    return None


def numbers(text):
    """Expand a set without stars, in its order: b'3,7:5' -> [3, 7, 6, 5]."""
    out = []
    for part in text.split(b','):
        a, _, b = part.partition(b':')
        a = int(a)
        b = int(b) if b else a
        out += range(a, b + 1) if a <= b else range(a, b - 1, -1)
    return out
