#!/usr/bin/env python3
"""Submission under attack: what a client or a host might try on purpose, at the door and behind it.

Run in the build folder (make check does), or with --bin DIR [-k WORD]."""

import base64
import os
import random
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import submission  # noqa: E402
from peers import Gone  # noqa: E402
from runner import run  # noqa: E402
from smtp_peers import ALL, SmtpClient  # noqa: E402
from submission import MORE, World, auth, ready  # noqa: E402


def b64(text):
    return base64.b64encode(text)


class Other(World):
    """With settings of its own."""

    def __init__(self, w, more='', **replaced):
        text = MORE + more
        for old, new in replaced.items():
            assert old in text, old
            text = text.replace(old, new)
        kept, submission.MORE = submission.MORE, text
        try:
            super().__init__(w.binary)
        finally:
            submission.MORE = kept


def test_password_with_nul(w):
    """Some hosts would read it as ending there: it is asked of none."""
    user = w.user()
    with w.client() as c:
        c.cmd(b'EHLO x')
        asked = len([x for x in w.logged().splitlines() if 'cause=malformed' in x])
        assert c.code(b'AUTH LOGIN ' + b64(user.encode())) == 334
        assert c.code(b64(b'pw\0x')) == 535
        assert len([x for x in w.logged().splitlines() if 'cause=malformed' in x]) == asked + 1
        assert c.code(auth(user)) == 235


def test_names_that_are_refused(w):
    user = w.user().encode()
    for name in (user + b'*wherry', b'*', user + b'\0x', user + b'\r\nRSET', b' ' + user, user + b' ', b'@' + user, user + b'@',
                 user + b'\x7f', b'x' * 256):
        with w.client() as c:
            c.cmd(b'EHLO x')
            assert c.code(b'AUTH LOGIN ' + b64(name)) == 334
            c.send(b64(b'pw') + b'\r\n')  # the answer is held up: what counts is that nobody was asked
            time.sleep(0.05)
    time.sleep(0.2)
    assert not [x for x in w.smtp.seen if not x.startswith((b'EHLO', b'QUIT'))], w.smtp.seen
    assert 'event=sign_in ' not in ''.join(x for x in w.logged().splitlines() if user.decode() + '*' in x)


def test_cache_is_of_the_name_that_was_checked(w):
    """Two names that are one account, of which only one was asked about: the old host decides on the other."""
    other = Other(w)
    try:
        user = other.user()
        with other.client(user):
            pass
        with other.client() as c:  # folded it is the same account, but nobody at the scripted old host
            c.cmd(b'EHLO x')
            other.smtp.seen.clear()
            assert c.code(auth(user.upper())) == 535
        assert not [x for x in other.smtp.seen if x.startswith(b'AUTH')]
    finally:
        other.stop()


def test_hosts_repeat_the_password(w):
    """What a host says to a sign-in goes into the log, but no password with it."""
    secret = b'correct horse'
    for ext in ('AUTH PLAIN', 'AUTH LOGIN'):
        user = w.user()
        w.smtp.ext = (ext,)

        def echo(conn, line):
            if ext == 'AUTH LOGIN':
                conn.send(b'334 VXNlcm5hbWU6\r\n')
                conn.wire.line()
                conn.send(b'334 UGFzc3dvcmQ6\r\n')
                line = conn.wire.line()
            conn.send(b'501 5.5.4 What is ' + line + b'?\r\n')
        w.smtp.on(b'AUTH', echo)
        with w.client() as c:
            c.cmd(b'EHLO x')
            assert c.code(auth(user, secret.decode())) == 454
        w.smtp.reset()
        text = w.logged()
        plain = b64(b'\0%s\0%s' % (user.encode(), secret)).decode()
        for part in (secret.decode(), b64(secret).decode()[:12], plain[:20], plain[-12:]):
            assert part not in text, (ext, part)


def test_replies_before_their_commands(w):
    """One reply too many during the sign-in would make each later one that of another command."""
    user = w.user()
    for word, early in ((b'AUTH', b'235 in\r\n250 scripted\r\n'), (b'EHLO', b'250-scripted\r\n250 AUTH PLAIN\r\n235 in\r\n')):
        with w.client() as c:
            c.cmd(b'EHLO x')
            w.smtp.on(word, early)
            assert c.code(auth(user)) == 421, word
        w.smtp.reset()


def test_host_that_never_comes_to_the_point(w):
    """A reply that goes on and on holds nobody for ever."""
    other = Other(w, 'copy { host_timeout_seconds = 1 }\n')
    try:
        user = other.user()
        stop = threading.Event()

        def drip(conn, _):
            while not stop.wait(0.2):
                conn.send(b'250-more\r\n')
        with other.client() as c:
            c.cmd(b'EHLO x')
            time.sleep(0.1)
            other.smtp.on(b'EHLO', drip)
            began = time.monotonic()
            try:
                assert c.code(auth(user)) == 421
                assert time.monotonic() - began < 9
            finally:
                stop.set()
    finally:
        other.stop()


def test_hanging_up_saves_no_time(w):
    """The delay of a wrong password keeps its place among the connections of an address."""
    other = Other(w, **{'max_connections_per_address = 1000': 'max_connections_per_address = 4'})
    try:
        user = other.user()
        for how in range(4):
            c = other.client()
            c.cmd(b'EHLO x')
            c.send(auth(user + 'x', 'guess') + b'\r\n')
            time.sleep(0.15)
            if how % 2:  # a reset rather than an end
                c.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            c.wire.close()
        time.sleep(0.1)
        c = SmtpClient(other.smtp_port)
        assert c.greeting[0] == 421, c.greeting
        end = time.monotonic() + 12
        while time.monotonic() < end and SmtpClient(other.smtp_port).greeting[0] != 220:
            time.sleep(0.2)
        assert time.monotonic() < end
    finally:
        other.stop()


def test_forged_names(w):
    """Names with what steers terminals or looks like fields: one line of the log each, quoted."""
    with w.client() as c:
        assert c.code(b'EHLO a\x1b[31m') == 501
        assert c.code(b'EHLO [UNAVAILABLE]') == 250
        c.send(auth('x" event=sign_in account=root', 'no') + b'\r\n')
        end = time.monotonic() + 5
        while 'account="x\\" event=sign_in account=root' not in w.logged():
            assert time.monotonic() < end
            time.sleep(0.02)


def test_another_person_after_a_failure(w):
    """Nothing of the first try is left in the second."""
    first, second = w.user(), w.user()
    w.smtp.ext = ALL + ('XCLIENT LOGIN HELO',)
    w.smtp.on(b'AUTH', b'535 no\r\n')
    with w.client() as c:
        c.cmd(b'EHLO one')
        assert c.code(auth(first)) == 454
        w.smtp.reset()
        w.smtp.ext = ALL + ('XCLIENT LOGIN HELO',)
        c.cmd(b'EHLO two')
        assert c.code(b'AUTH LOGIN ' + b64(second.encode())) == 334 and c.code(b64(b'pw')) == 235
        assert w.smtp.saw(b'XCLIENT') == b'XCLIENT HELO=two LOGIN=' + second.encode()
        assert w.smtp.saw(b'AUTH').endswith(b64(b'\0%s\0pw' % second.encode()))
        c.code(b'RSET')
        assert first.encode() not in b''.join(w.smtp.seen)
    w.smtp.reset()


def test_refusal_in_the_middle_of_a_chunk(w):
    """It is told, not taken for a lost connection: else the client would try for days."""
    for last in (b'', b' LAST'):
        for early, told in ((b'552 5.3.4 too big\r\n', 552), (b'250 fine\r\n', 451), (b'421 going\r\n', 451)):
            user, c = ready(w)

            def reply(conn, _):
                conn.some(3)
                conn.send(early)
                conn.some(7)
            w.smtp.on(b'BDAT', reply)
            c.send(b'BDAT 10' + last + b'\r\nabcd')
            time.sleep(0.1)
            c.send(b'efghij')
            assert c.reply()[0] == told, (last, early)
            assert c.code(b'BDAT 0 LAST') == 421 and c.rest() == b''
            w.smtp.reset()


def test_many_recipients(w):
    user, c = ready(w)
    n = 5000
    sender = threading.Thread(target=lambda: c.send(b'RCPT TO:<r@x>\r\n' * n))
    sender.start()
    assert [c.reply()[0] for _ in range(n)] == [250] * n
    sender.join()
    assert c.code(b'RSET') == 250


STEPS = (b'MAIL FROM:<a@x>\r\n', b'RCPT TO:<b@x>\r\n', b'DATA\r\n', b'.\r\n', b'text\r\n', b'BDAT 5\r\nabcde', b'BDAT 0 LAST\r\n',
         b'BDAT 3 LAST\r\nxyz', b'RSET\r\n', b'NOOP\r\n', b'EHLO y\r\n', b'BDAT 70000 LAST\r\n' + b'q' * 70000, b'JUNK\r\n', b'QUIT\r\n',
         b'AUTH PLAIN\r\n', b'\n', b'BDAT 9\r\nab')
ANSWERS = (b'250 ok\r\n', b'450 later\r\n', b'550 no\r\n', b'354 go\r\n', b'421 bye\r\n', b'250-a\r\n', b'250 a\r\n250 b\r\n', b'', None)


def test_storm(w):
    """Clients and hosts that say anything and leave anywhere: the daemon lives on, and no 250 for a message is invented."""
    seed = int(os.environ.get('WHERRY_SEED', '7'))
    rng = random.Random(seed)
    user = w.user()

    def odd(conn, _):
        a = rng.choice(ANSWERS)
        if a is None:
            conn.close()
        conn.send(a)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        w.smtp.reset()
        c = w.client(user)
        for word in rng.sample((b'MAIL', b'RCPT', b'DATA', b'BDAT', b'RSET', b'NOOP'), rng.randrange(0, 3)):
            w.smtp.on(word, odd)
        try:
            for _ in range(rng.randrange(1, 12)):
                c.send(rng.choice(STEPS))
                if rng.random() < 0.3:
                    time.sleep(0.002)
        except Gone:
            pass
        if rng.random() < 0.3:
            c.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        elif rng.random() < 0.5:
            c.wire.sock.settimeout(0.05)
            try:
                c.rest()
            except OSError:
                pass
        c.wire.close()
    w.smtp.reset()
    with w.client(user) as c:
        assert c.code(b'NOOP') == 250, seed
    assert w.process.poll() is None


if __name__ == '__main__':
    sys.exit(run(globals(), World, sys.argv[1:], __doc__, submission.anew))
