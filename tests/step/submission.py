#!/usr/bin/env python3
"""Submission to a scripted host: refusals, lost connections, what two servers might read differently.

Run in the build folder (make check does), or with --bin DIR [-k WORD]. All tests share one daemon, which has to end in
order at the end."""

import base64
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import front  # noqa: E402
from runner import run  # noqa: E402
from smtp_peers import ALL, SmtpClient, SmtpHost  # noqa: E402

MORE = '''listen { submission = {"127.0.0.1:%d"} }
new { submission { host = "127.0.0.1" port = %d tls = "%s" verify = no } }
limits { max_connections_per_address = 1000 }
auth { verify_cache_seconds = 600 }
'''


class World(front.World):
    def __init__(self, binary, tls='none'):
        self.smtp, self.smtp_port = SmtpHost(), front.free_port()
        super().__init__(binary, more=MORE % (self.smtp_port, self.smtp.port, tls))

    def client(self, user=None, slow=False):
        c = SmtpClient(self.smtp_port, slow)
        assert c.greeting[0] == 220
        if user:
            assert c.code(b'EHLO client.test') == 250
            got = c.code(auth(user))
            assert got == 235, got
        return c

    def user(self):
        return self.person()[0]

    def messages_logged(self, session_of):
        return [x for x in self.logged().splitlines() if 'event=message ' in x and 'account=%s ' % session_of in x]


def auth(user, password='pw'):
    return b'AUTH PLAIN ' + base64.b64encode(b'\0%s\0%s' % (user.encode(), password.encode()))


def ready(w, recipients=1):
    """A client whose message is due next."""
    user = w.user()
    c = w.client(user)
    assert c.code(b'MAIL FROM:<a@x>') == 250
    for n in range(recipients):
        assert c.code(b'RCPT TO:<r%d@x>' % n) == 250
    return user, c


def last_line(w, user):
    end = time.monotonic() + 5
    while time.monotonic() < end:
        rows = w.messages_logged(user)
        if rows:
            return rows[-1]
        time.sleep(0.02)
    raise AssertionError('no line for the message of %s' % user)


def test_refusals_are_the_hosts_own(w):
    user = w.user()
    with w.client(user) as c:
        w.smtp.on(b'MAIL', b'550-5.7.1 not\r\n550 5.7.1 you\r\n')
        assert c.cmd(b'MAIL FROM:<a@x>') == (550, [b'5.7.1 not', b'5.7.1 you'])
        w.smtp.reset()
        assert c.code(b'MAIL FROM:<a@x>') == 250
        w.smtp.on(b'RCPT', b'450 4.2.1 later\r\n')
        assert c.cmd(b'RCPT TO:<b@x>') == (450, [b'4.2.1 later'])
        w.smtp.on(b'DATA', b'554 5.5.1 no recipients\r\n')
        assert c.cmd(b'DATA') == (554, [b'5.5.1 no recipients'])
        w.smtp.reset()

        def too_big(conn, _):
            conn.send(b'354 go on\r\n')
            conn.message()
            conn.send(b'552 5.3.4 too big\r\n')
        w.smtp.on(b'DATA', too_big)
        assert c.code(b'RCPT TO:<b@x>') == 250 and c.code(b'DATA') == 354
        assert c.cmd(b'secret words\r\n.') == (552, [b'5.3.4 too big'])
        assert c.code(b'NOOP') == 250 and c.code(b'QUIT') == 221
    row = last_line(w, user)
    assert 'verdict=refused' in row and 'code=552' in row and 'recipients=1' in row and 'size=14' in row, row
    assert 'secret words' not in w.logged()


def test_lost_in_the_middle(w):
    """451 for what was not answered, 421 afterwards, and never a 250."""
    def leave(conn, _):
        conn.close()

    def leave_in_message(conn, _):
        conn.send(b'354 go on\r\n')
        conn.some(5)
        conn.close()

    def leave_after_message(conn, _):
        conn.send(b'354 go on\r\n')
        conn.message()
        conn.close()
    for command in (b'MAIL FROM:<b@x>', b'RCPT TO:<b@x>', b'DATA', b'NOOP', b'RSET', b'EHLO x'):
        user, c = ready(w)
        w.smtp.on(command.split(b' ')[0].replace(b'EHLO', b'RSET'), leave)
        got = c.cmd(command)
        assert got[0] == 451 and got[1][0].startswith(b'4.4.2'), (command, got)
        assert c.cmd(b'MAIL FROM:<b@x>')[0] == 421 and c.rest() == b''
        w.smtp.reset()
    for how in (leave_in_message, leave_after_message):
        user, c = ready(w)
        w.smtp.on(b'DATA', how)
        assert c.code(b'DATA') == 354
        c.send(b'line\r\n' * 20000)
        time.sleep(0.1)
        assert c.cmd(b'.')[0] == 451
        assert c.code(b'NOOP') == 421 and c.rest() == b''
        assert 'verdict=lost' in last_line(w, user)
        w.smtp.reset()


def test_lost_between_commands(w):
    for last in (b'', b'421 4.4.2 idle\r\n', b'250 what nobody asked for\r\n'):
        user, c = ready(w)

        def go(conn, _):
            conn.send(b'250 ok\r\n')
            time.sleep(0.05)
            conn.send(last)
            conn.close()
        w.smtp.on(b'NOOP', go)
        assert c.code(b'NOOP') == 250
        time.sleep(0.2)
        assert c.code(b'RSET') == 421 and c.rest() == b''
        w.smtp.reset()


def test_lost_with_commands_in_flight(w):
    user, c = ready(w)
    w.smtp.on(b'RCPT', lambda conn, _: conn.close())
    c.send(b'RCPT TO:<b@x>\r\nHELP\r\nRCPT TO:<c@x>\r\nDATA\r\nQUIT\r\n')
    assert [c.reply()[0] for _ in range(4)] == [451, 214, 451, 451]
    w.smtp.reset()


def test_yes_to_half_a_message(w):
    """A reply before the end: "yes" counts for nothing, "no" is told at the end."""
    for early, told in ((b'250 2.0.0 Ok: queued as X\r\n', 451), (b'552 5.3.4 too big\r\n', 552), (b'421 4.3.2 going\r\n', 451),
                        (b'354 go on\r\n', 451)):
        user, c = ready(w)

        def reply(conn, _):
            conn.send(b'354 go on\r\n')
            conn.some(3)
            conn.send(early)
            conn.message()
        w.smtp.on(b'DATA', reply)
        assert c.code(b'DATA') == 354
        c.send(b'some\r\n')
        time.sleep(0.2)
        c.send(b'more\r\n.\r\n')
        assert c.reply()[0] == told, early
        assert c.code(b'MAIL FROM:<a@x>') == 421
        assert 'verdict=accepted' not in last_line(w, user)
        assert not w.smtp.messages
        w.smtp.reset()


def test_replies_out_of_place(w):
    for reply in (b'354 go on\r\n', b'250 a\n', b'250-a\r\n251 b\r\n', b'250 a\r250 b\r\n', b'hello\r\n', b'250-' + b'x' * 5000,
                  b'250-x\r\n' * 300, b'\r\n', b'250 \x00\r\n'):
        user, c = ready(w)
        w.smtp.on(b'RCPT', reply)
        got = c.cmd(b'RCPT TO:<b@x>')
        assert got[0] == 451, (reply, got)
        assert c.code(b'RSET') == 421
        w.smtp.reset()


def test_replies_cannot_forge_lines(w):
    user, c = ready(w)
    w.smtp.on(b'RCPT', b'550 a\x1b[31m\x07\x7fb\r\n')
    assert c.cmd(b'RCPT TO:<b@x>') == (550, [b'a?[31m??b'])
    w.smtp.reset()


def test_what_is_announced(w):
    with w.client() as c:
        code, lines = c.cmd(b'EHLO x')
        assert code == 250
        assert set(lines[1:]) == {b'PIPELINING', b'8BITMIME', b'SIZE 1000000', b'DSN', b'CHUNKING', b'SMTPUTF8',
                                  b'ENHANCEDSTATUSCODES', b'AUTH PLAIN LOGIN'}, lines
    user = w.user()
    w.smtp.ext = ('SIZE', 'AUTH LOGIN', 'XYZ')
    with w.client(user) as c:
        assert c.cmd(b'EHLO x')[1][1:] == [b'SIZE']
        assert w.smtp.seen[-1] == b'RSET'  # EHLO ends the transaction at the host as well
        for bad in (b'MAIL FROM:<a@x> BODY=8BITMIME', b'MAIL FROM:<a@x> SMTPUTF8', b'MAIL FROM:<a@x> RET=FULL',
                    b'RCPT TO:<a@x> NOTIFY=NEVER', b'MAIL FROM:<a@x> REQUIRETLS'):
            assert c.code(bad) == 555, bad
        assert c.code(b'MAIL FROM:<a@x> SIZE=12 AUTH=<b@x>') == 250
        assert w.smtp.saw(b'MAIL') == b'MAIL FROM:<a@x> SIZE=12'
        assert c.code(b'BDAT 12 LAST\r\nRSET\r\nQUIT') == 502  # its octets are no commands
        assert c.code(b'NOOP') == 250
    assert w.smtp.saw(b'AUTH LOGIN')
    w.smtp.reset()
    with w.client(w.user()):
        pass


def test_signing_in_with_login(w):
    user = w.user()
    w.smtp.ext = ('AUTH LOGIN',)

    def steps(conn, _):
        conn.send(b'334 VXNlcm5hbWU6\r\n')
        name = conn.wire.line()
        conn.send(b'334 UGFzc3dvcmQ6\r\n')
        good = base64.b64decode(name) == user.encode() and base64.b64decode(conn.wire.line()) == b'pw'
        conn.send(b'235 in\r\n' if good else b'535 no\r\n')
    w.smtp.on(b'AUTH LOGIN', steps)
    with w.client(user) as c:
        assert c.code(b'NOOP') == 250
    w.smtp.reset()


def test_sign_in_refused(w):
    user = w.user()
    for reply, code, ends in ((b'535 5.7.8 no\r\n', 454, False), (b'454 4.7.0 later\r\n', 421, True), (b'534 5.7.9 weak\r\n', 454, False),
                              (b'334 and?\r\n', 421, True)):
        w.smtp.on(b'AUTH', reply)
        with w.client() as c:
            c.cmd(b'EHLO x')
            assert c.code(auth(user)) == code, reply
            if ends:
                assert c.rest() == b''
            else:
                w.smtp.reset()
                assert c.code(auth(user)) == 235  # it may go on trying
        w.smtp.reset()
    w.smtp.greeting = b'554 no\r\n'
    with w.client() as c:
        c.cmd(b'EHLO x')
        assert c.code(auth(user)) == 421
    w.smtp.reset()
    w.smtp.ext = ('PIPELINING',)
    with w.client() as c:
        c.cmd(b'EHLO x')
        assert c.code(auth(user)) == 454
    w.smtp.reset()


def test_xclient(w):
    """Only what is offered, EHLO again, and 503 to AUTH means that the name was taken."""
    user = w.user()
    w.smtp.ext = ALL + ('XCLIENT ADDR PROTO LOGIN',)
    w.smtp.on(b'AUTH', b'503 5.5.1 already authenticated\r\n')
    with w.client(user) as c:
        line = w.smtp.saw(b'XCLIENT')
        assert line == b'XCLIENT ADDR=127.0.0.1 PROTO=ESMTP LOGIN=%s' % user.encode(), line
        words = [x.split(b' ')[0] for x in w.smtp.seen]
        assert words[-5:] == [b'EHLO', b'XCLIENT', b'EHLO', b'AUTH', b'EHLO'], words
    w.smtp.reset()
    w.smtp.ext = ALL + ('XCLIENT PORT HELO',)
    with w.client() as c:
        c.cmd(b'EHLO a+b=c')
        assert c.code(auth(user)) == 235
        assert re.fullmatch(rb'XCLIENT PORT=\d+ HELO=a\+2Bb\+3Dc', w.smtp.saw(b'XCLIENT'))
    w.smtp.reset()
    w.smtp.ext = ALL + ('XCLIENT LOGIN',)
    w.smtp.on(b'XCLIENT', b'550 not you\r\n')
    w.smtp.on(b'AUTH', b'503 5.5.1 already authenticated\r\n')
    with w.client() as c:  # it was not taken: then 503 lets nobody in
        c.cmd(b'EHLO x')
        assert c.code(auth(user)) == 454
    w.smtp.reset()


def test_one_by_one_without_pipelining(w):
    user = w.user()
    w.smtp.ext = ('8BITMIME', 'AUTH PLAIN')
    with w.client(user) as c:
        w.smtp.crowded = 0
        c.send(b'MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nNOOP\r\nRSET\r\n')
        assert [c.reply()[0] for _ in range(5)] == [250] * 5
        assert w.smtp.crowded == 0
    w.smtp.reset()
    with w.client(w.user()):
        pass


def test_lines_of_the_client(w):
    user = w.user()
    for bad in (b'NOOP\n', b'NOOP\r\r\n', b'NO\rOP\r\n', b'MAIL FROM:<a@x>\nRCPT TO:<b@x>\r\n', b'NOOP \x00\r\n', b'x' * 13000):
        with w.client(user) as c:
            c.send(bad)
            assert c.reply()[0] == 521 and c.rest() == b'', bad
    assert not [x for x in w.smtp.seen if x.startswith((b'MAIL', b'RCPT'))], w.smtp.seen
    with w.client(user) as c:
        assert c.code(b'NOOP ' + b'x' * 505) == 250 and c.code(b'NOOP ' + b'x' * 506) == 500
        assert c.code(b'MAIL FROM:<a@x> ENVID=' + b'x' * 600) == 250
        assert c.code(b'MAIL FROM:<a@x> ENVID=' + b'x' * 2100) == 500
        for _ in range(18):
            assert c.code(b'XYZZY') == 500
        got = c.cmd(b'XYZZY')
        assert got[0] == 500 and c.reply()[0] == 421 and c.rest() == b''
    w.smtp.reset()


def test_smuggling(w):
    """What might be an end to somebody: the host sees neither an end nor what follows."""
    for end in (b'\n.\n', b'\n.\r\n', b'\r\n.\n', b'\r.\r', b'\r.\r\n', b'\r\n.\r', b'\r\n.\r\r\n', b'\r\r\n.\r\n', b'\n\n.\n\n'):
        for step in (0, 1):
            user, c = ready(w)
            w.smtp.messages, w.smtp.halves = [], []
            assert c.code(b'DATA') == 354
            wire = b'body' + end + b'MAIL FROM:<smuggled@x>\r\n.\r\n'
            if step:
                for i in range(len(wire)):
                    try:
                        c.send(wire[i:i + 1])
                    except Exception:  # it is closed already
                        break
                    time.sleep(0.001)
            else:
                c.send(wire)
            got = c.rest()
            assert got.startswith(b'521 5.5.2'), (end, got)
            limit = time.monotonic() + 5
            while not w.smtp.halves and time.monotonic() < limit:
                time.sleep(0.01)
            assert not w.smtp.messages and b'smuggled' not in b''.join(w.smtp.halves), end
            assert 'verdict=aborted' in last_line(w, user)
    w.smtp.reset()


def test_client_leaves(w):
    user, c = ready(w)
    assert c.code(b'DATA') == 354
    c.send(b'half a message\r\n.')
    time.sleep(0.1)
    c.wire.close()
    assert 'verdict=aborted' in last_line(w, user) and not w.smtp.messages
    user, c = ready(w, 2)

    def later(conn, _):
        conn.send(b'354 go on\r\n')
        conn.message()
        time.sleep(0.3)
        conn.send(b'250 2.0.0 Ok: queued as LATE\r\n')
    w.smtp.on(b'DATA', later)
    assert c.code(b'DATA') == 354
    c.send(b'whole\r\n.\r\n')
    c.wire.close()
    row = last_line(w, user)
    assert 'verdict=accepted' in row and 'queue_id=LATE' in row and 'recipients=2' in row, row
    w.smtp.reset()


def test_byte_by_byte(w):
    w.smtp.reset(slow=True)
    user = w.user()
    with w.client(user, slow=True) as c:
        c.send(b'MAIL FROM:<a@x> SIZE=5\r\nRCPT TO:<b@x>\r\nDATA\r\n')
        assert [c.reply()[0] for _ in range(3)] == [250, 250, 354]
        c.send(b'..dots\r\n.x\r\n\r\n.\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 5\r\nNOOP\nBDAT 7 LAST\r\nQUIT\r\n.\r\nQUIT\r\n'.replace(
            b'QUIT\r\n.\r\nQUIT', b'QUIT\r\n\nQUIT'))
        assert [c.reply()[0] for _ in range(6)] == [250, 250, 250, 250, 250, 221]
    assert w.smtp.messages == [b'..dots\r\n.x\r\n\r\n', b'NOOP\n', b'QUIT\r\n\n'], w.smtp.messages
    w.smtp.reset()


def test_guests(w):
    with w.client() as c:
        assert c.code(b'MAIL FROM:<a@x>') == 503 and c.code(b'AUTH PLAIN AGEAYg==') == 503
        assert c.code(b'HELO x') == 502 and c.code(b'MAIL FROM:<a@x>') == 503
        assert c.code(b'EHLO x') == 250 and c.code(b'MAIL FROM:<a@x>') == 530 and c.code(b'RCPT TO:<a@x>') == 530
        assert c.code(b'DATA') == 530 and c.code(b'STARTTLS') == 454 and c.code(b'VRFY x') == 252
        assert c.code(b'AUTH GSSAPI') == 504 and c.code(b'AUTH PLAIN =') == 501 and c.code(b'AUTH') == 501
        assert c.code(b'AUTH PLAIN') == 334 and c.code(b'*') == 501
        assert c.code(b'AUTH LOGIN ' + base64.b64encode(b'x')) == 334 and c.code(b'!') == 501
        assert c.code(b'AUTH PLAIN ' + base64.b64encode(b'a\0b\0c')) == 535
        assert c.code(b'BDAT 6 LAST\r\nQUIT') == 530 and c.code(b'NOOP') == 250 and c.code(b'EXPN x') == 502
    assert not [x for x in w.smtp.seen if not x.startswith((b'EHLO', b'QUIT'))], w.smtp.seen


def test_injection_by_the_host(w):
    """What stands behind the reply to STARTTLS was not sent by the host."""
    other = World(w.binary, tls='starttls')
    try:
        other.smtp.ext = ALL + ('STARTTLS',)
        other.smtp.on(b'STARTTLS', b'220 go on\r\n250-injected\r\n250 AUTH PLAIN\r\n')
        user = other.user()
        with other.client() as c:
            c.cmd(b'EHLO x')
            assert c.code(auth(user)) == 421
        other.smtp.reset()  # no STARTTLS at all: no password in the clear
        with other.client() as c:
            c.cmd(b'EHLO x')
            assert c.code(auth(user)) == 421
        assert not [x for x in other.smtp.seen if x.startswith(b'AUTH')], other.smtp.seen
    finally:
        other.stop()


def test_drain(w):
    other = World(w.binary)
    user, c = ready(other)
    assert c.code(b'DATA') == 354
    idle = other.client(other.user())
    other.process.terminate()
    assert idle.reply()[0] == 421 and idle.rest() == b''
    assert c.cmd(b'the rest\r\n.')[0] == 250  # a message that has begun may end
    assert c.reply()[0] == 421
    other.stop()


def anew(w, _):
    w.smtp.reset()


if __name__ == '__main__':
    sys.exit(run(globals(), World, sys.argv[1:], __doc__, anew))
