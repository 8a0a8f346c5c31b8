"""Input that no client sends and somebody will: an answer with a reason or BYE, bounded memory, and the daemon lives."""

import os
import random
import socket

from wharf import imap, mail
from wharf.imap import Failure


def daemon(w, **options):
    return w.wherryd(w.dovecot('.'), w.dovecot('/', store='sdbox'), **options)


def answered(c, patterns):
    """Replies until the tag, BYE or the end; one of them has to match one of the patterns."""
    out = []
    try:
        while True:
            line = c.line().text
            out.append(line)
            if any(line.startswith(p) for p in patterns):
                return out
    except (EOFError, OSError):
        if any(x.startswith(b'* BYE') for x in out):
            return out
        raise AssertionError('closed without BYE after %r' % out[-3:])


def lives(w, d):
    user = w.user(d.old)
    with d.connect(user) as c:
        c.select(b'INBOX')
    assert d.process.alive()


def test_before_sign_in(w):
    d = daemon(w)
    before = d.memory()
    lines = [
        b'a ' + b'x' * 300000 + b'\r\n', b'a LOGIN {2000000000}\r\n', b'a LOGIN {99999999999999999999}\r\n',
        b'a LOGIN {2000000000+}\r\n' + b'y' * 100000, b'a LOGIN "' + b'z' * 200000 + b'" x\r\n',
        b'a FROBNICATE\r\n', b'a\r\n', b'\r\n\r\n\r\n a\r\n', b'* OK\r\na x\r\n', b'+ a\r\na x\r\n', b'a LOGIN\r\n',
        b'a LOGIN a\r\n', b'a LOGIN a b c\r\n', b'a LOGIN (a) b\r\n', b'a LOGIN "a\r\n', b'a LOGIN "a\\q" b\r\n',
        b'\xff\xfe\xfd\r\na \x80\x81\r\n', b'a LOGIN \xc3\xa4 \xff\r\n', b'\0\0\0\r\na \0\r\n', b'a LOGIN {-1}\r\n',
        b'a LOGIN {5\r\n', b'a LOGIN {}\r\n', b'a LOGIN {3}x\r\n', b'a SELECT INBOX\r\n', b'a FETCH 1 FLAGS\r\n', b'a UID\r\n',
        b'a UID FETCH\r\n', b'a AUTHENTICATE\r\n', b'a AUTHENTICATE PLAIN ' + b'A' * 100000 + b'\r\n',
        b'a AUTHENTICATE PLAIN =\r\n', b'a DONE\r\n', b'DONE\r\na x\r\n', b'a IDLE\r\n', b'a STARTTLS\r\n',
        b'a ' + b'(' * 50000 + b'\r\n', b'a LIST ' + b'(' * 5000 + b')' * 5000 + b'\r\n', b'a NOOP x\r\n',
        b'GET / HTTP/1.1\r\nHost: x\r\n\r\na NOOP\r\n', b'EHLO x\r\na NOOP\r\n', b'a NOOP\na NOOP\r\n',
        b'a LOGIN {1}\r\n', b'a APPEND INBOX {1000000+}\r\n' + b'x' * 1000000 + b'\r\n',
    ]
    for text in lines:
        with d.connect() as c:
            try:
                c.send(text)
            except OSError:
                pass
            if text == b'a LOGIN {1}\r\n':
                c.expect(rb'\+')
                continue  # half a literal, then away
            answered(c, (b'a BAD', b'a NO', b'a OK', b'* BAD', b'* BYE'))
    lives(w, d)
    assert d.memory() < before + 64 * 1024, (before, d.memory())


def test_after_sign_in(w):
    d = daemon(w)
    user = w.user(d.old)
    w.filled(d.old, user, {(): 8, ('A',): 3})
    lines = [
        b'a ' + b'x' * 300000 + b'\r\n', b'a FETCH 1:* ' + b'(' * 30000 + b'\r\n', b'a UID FETCH 0 FLAGS\r\n',
        b'a UID FETCH 99999999999 FLAGS\r\n', b'a UID FETCH 1:2:3 FLAGS\r\n', b'a UID FETCH , FLAGS\r\n', b'a UID FETCH 1:* (\r\n',
        b'a UID FETCH 1:*\r\n', b'a UID FROB 1\r\n', b'a UID\r\n', b'a FETCH x FLAGS\r\n', b'a SEARCH\r\n', b'a SEARCH (\r\n',
        b'a SEARCH UID\r\n', b'a SEARCH UID x\r\n', b'a SEARCH OR UID 1\r\n', b'a SEARCH NOT\r\n', b'a SEARCH ' + b'NOT ' * 5000 + b'ALL\r\n',
        b'a SEARCH ' + b'(' * 3000 + b'ALL' + b')' * 3000 + b'\r\n', b'a UID SEARCH UID ' + b'1,' * 60000 + b'1\r\n',
        b'a STORE 1 FLAGS\r\n', b'a STORE 1 +FLAGS (\\\r\n', b'a COPY 1\r\n', b'a UID COPY 1:* {3000000000}\r\n',
        b'a APPEND\r\n', b'a APPEND INBOX\r\n', b'a APPEND INBOX {0}\r\n\r\n', b'a APPEND INBOX (\\Seen {3}\r\n',
        b'a APPEND INBOX "not a date" {3}\r\nabc\r\n', b'a APPEND INBOX {99999999999}\r\n', b'a SELECT\r\n', b'a SELECT (\r\n',
        b'a SELECT ""\r\n', b'a SELECT "a\0b"\r\n', b'a SELECT \xff\xfe\r\n', b'a SELECT INBOX.' + b'n' * 5000 + b'\r\n',
        b'a SELECT INBOX..A\r\n', b'a SELECT ../../etc/passwd\r\n', b'a CREATE ""\r\n', b'a CREATE INBOX.&\r\n', b'a CREATE "INBOX.&bad-"\r\n',
        b'a CREATE "INBOX.x\x01y"\r\n', b'a RENAME INBOX.A\r\n', b'a RENAME INBOX.A INBOX.A\r\n', b'a RENAME INBOX.A INBOX.A.b\r\n',
        b'a LIST\r\n', b'a LIST ""\r\n', b'a LIST "" ' + b'%*' * 5000 + b'\r\n', b'a STATUS INBOX\r\n', b'a STATUS INBOX ()\r\n',
        b'a STATUS INBOX (FROB)\r\n', b'a IDLE\r\nfrob\r\n', b'a ENABLE\r\n', b'a ID (x\r\n', b'a COMPRESS LZ4\r\n',
        b'a NOTIFY NONE\r\n', b'a X-FROB\r\n', b'\xff\xff\r\na \xff\r\n', b'a NOOP\0\r\n', b'a LOGIN x y\r\n', b'a STARTTLS\r\n',
        b'a GETACL INBOX\r\n', b'a UNSELECT x\r\n', b'a FETCH 1 BODY[\r\n', b'a FETCH 1 BODY[]<5\r\n', b'a FETCH 1 BODY[]<999999999999.1>\r\n',
        b'a FETCH 1 (BODY.PEEK[HEADER.FIELDS (X {3}\r\n', b'a UID STORE 1:* (UNCHANGEDSINCE x) FLAGS ()\r\n', b'a EXPUNGE 1\r\n',
    ]
    for text in lines:
        for first in (b'', b's SELECT INBOX\r\n'):
            with d.connect(user) as c:
                if first:
                    c.send(first)
                    c.expect(b's OK')
                try:
                    c.send(text)
                except OSError:
                    pass
                try:
                    out = answered(c, (b'a BAD', b'a NO', b'a OK', b'* BAD', b'* BYE', b'+'))
                except (AssertionError, TimeoutError) as e:
                    raise AssertionError('%.80r: %s' % (text, e))
                if out[-1].startswith(b'+'):
                    continue  # it asks for a literal of a sane size
                if not any(x.startswith(b'* BYE') for x in out):
                    c.send(b'after NOOP\r\n')
                    answered(c, (b'after OK', b'after BAD', b'* BYE'))
    lives(w, d)
    with d.connect(user) as c:
        assert int(c.select(b'INBOX').lines(b'EXISTS')[0][0]) > 0
        assert {n for _, _, n in c.list()} >= {b'INBOX', b'INBOX.A'}


test_after_sign_in.limit = 180


def test_starttls_with_buffered_bytes(w):
    """What came in clear together with STARTTLS is never run inside TLS."""
    d = daemon(w)
    with d.connect(tls='none') as c:
        c.send(b'a STARTTLS\r\nb NOOP\r\n')
        said = []
        try:
            said.append(c.line().text)
            if said[-1].startswith(b'* '):
                said.append(c.line().text)
            if said[-1].startswith(b'a OK'):
                try:
                    c.wrap()
                except OSError:
                    return
                assert c.quiet(0.5), 'a command from before TLS was answered inside'
        except (EOFError, OSError):
            pass
        assert not any(x.startswith(b'b OK') for x in said), said
    lives(w, d)


def test_silence(w):
    """A connection that does not sign in in time gets BYE."""
    d = daemon(w, more={'limits': 'sign_in_seconds = 1\n'})
    with d.connect() as c, d.connect() as half:
        half.send(b'a LOGIN {20}\r\n')
        half.expect(rb'\+')
        half.send(b'only a few')
        assert any(x.text.startswith(b'* BYE') for x in c.expect_eof())
        half.expect_eof()


def test_connection_limits(w):
    d = daemon(w, more={'limits': 'max_connections = 5\n'})
    held = [d.connect(tls='none') for _ in range(5)]
    try:
        with d.connect(tls='none') as c:
            said = [c.greeting.text] + [x.text for x in c.expect_eof()]
            assert any(x.startswith(b'* BYE') for x in said), said
    except (EOFError, ConnectionResetError):
        raise AssertionError('closed without BYE')
    finally:
        for c in held:
            c.close()


def test_too_many_errors(w):
    d = daemon(w)
    with d.connect() as c:
        c.send(b'a frob\r\n' * 300)
        assert any(x.text.startswith(b'* BYE') for x in c.expect_eof())
    lives(w, d)


def test_no_tls_on_the_tls_port(w):
    d = daemon(w)
    with socket.create_connection(('127.0.0.1', d.tls_port), timeout=20) as s:
        s.sendall(b'a LOGIN x y\r\n' * 10)
        while s.recv(4096):
            pass
    with socket.create_connection(('127.0.0.1', d.tls_port)):
        pass  # connects and says nothing
    lives(w, d)


def test_noise(w):
    """Seeded noise made of pieces of commands, before and after sign-in."""
    d = daemon(w)
    user = w.user(d.old)
    w.filled(d.old, user, {(): 4})
    r = random.Random(20240601)
    pieces = [b'a', b' ', b'\r\n', b'{3}', b'{3+}\r\n', b'(', b')', b'"', b'\\', b'UID ', b'FETCH ', b'1:*', b'SELECT ', b'INBOX', b'SEARCH ',
              b'\0', b'\xff', b'*', b'%', b'[', b']', b'<0.1>', b'BODY', b'APPEND ', b'NIL', b'IDLE\r\n', b'DONE\r\n', b'STORE ', b'FLAGS ',
              b'a1 ', b'\n', b'\r', b'LIST "" *', b'LOGIN x y']
    for n in range(120):
        with d.connect(user if n % 2 else None) as c:
            text = b''.join(r.choice(pieces) for _ in range(r.randint(1, 60)))
            try:
                c.send(text + b'\r\n')
                if n % 3:
                    c.quiet(0.05)
            except (OSError, EOFError):
                pass
    lives(w, d)


def test_slow_reader(w):
    """A client that asks for everything and reads nothing: the daemon's memory stays where it was."""
    d = daemon(w)
    user = w.user(d.old)
    with d.old.connect(user) as c:
        body = mail.message('slow', 2 << 20)
        for _ in range(3):
            c.append(b'INBOX', body, plus=True)
    with d.connect(user) as c:
        c.select(b'INBOX')
        before = d.memory()
        for _ in range(40):
            c.start(b'FETCH 1:* BODY.PEEK[]')
        c2 = d.connect(user)
        c2.select(b'INBOX')
        for _ in range(20):
            c2.ok(b'NOOP')
        c2.close()
        assert d.memory() < before + 48 * 1024, (before, d.memory())
    lives(w, d)
