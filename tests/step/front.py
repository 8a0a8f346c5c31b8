#!/usr/bin/env python3
"""Sessions between scripted hosts and a scripted client: what real ones will not do.

Run in the build folder (make check does), or with --bin DIR [-k WORD]. Each test has a user of its own; all share one
daemon, which has to end in order at the end.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from peers import Client, Gone, Host, literal  # noqa: E402
from runner import run  # noqa: E402

NEW = b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ UIDPLUS IDLE UNSELECT MOVE ESEARCH SORT NAMESPACE ID CONDSTORE OBJECTID'
OLD = b'IMAP4rev1 AUTH=PLAIN SASL-IR NAMESPACE'
CONF = '''listen { imap = {"127.0.0.1:%d"} plaintext = "loopback" }
old { imap { host = "127.0.0.1" port = %d tls = "none" user = "%%u" } }
new { imap { host = "127.0.0.1" port = %d tls = "none" user = "%%u" sign_in = "same" } }
store { path = "%s" }
log { format = "logfmt" level = "debug" }
%s
'''
MORE = 'copy { uid_headroom = 1000 sweep = no }\n'


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s:
        return s.getsockname()[1]


class World:
    def __init__(self, binary, new_caps=NEW, slow=False, host=Host, more=MORE):
        self.dir = tempfile.mkdtemp(prefix='wherry-step-')
        self.old = host(OLD, 1111, 50, '.', 'INBOX.', slow)
        self.new = host(new_caps, 2222, 7, '/', '', slow)
        self.port, self.n = free_port(), 0
        self.conf, self.log = self.dir + '/wherryd.conf', self.dir + '/log'
        with open(self.conf, 'w') as f:
            f.write(CONF % (self.port, self.old.port, self.new.port, self.dir + '/store', more))
        env = dict(os.environ)
        env.setdefault('ASAN_OPTIONS', 'detect_leaks=1:abort_on_error=0')
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen([binary, '-c', self.conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=env)
        end = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise AssertionError('wherryd does not listen:\n' + self.logged())
                time.sleep(0.05)

    def logged(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = 'none within 30 s'
        text = self.logged()
        shutil.rmtree(self.dir, ignore_errors=True)
        bad = re.search(r'Sanitizer|runtime error', text)
        if bad:
            raise AssertionError(text[bad.start() - 200:bad.start() + 4000])
        if code != 0:
            raise AssertionError('wherryd ended with %s' % code)

    def person(self, *boxes):
        """(user, script at old, script at new); boxes are names below INBOX. at old."""
        self.n += 1
        user = 'step%d' % self.n
        return (user, self.old.user(user, ['INBOX'] + ['INBOX.' + b for b in boxes]), self.new.user(user))

    def client(self, user=None, slow=False):
        c = Client(self.port, slow)
        if user:
            c.login(user)
        return c


SELECTED = (b'* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 2222] .\r\n* OK [UIDNEXT 10] .\r\n'
            b'%T OK [READ-WRITE] selected\r\n')
# The mailbox was empty: after the switch the old UIDNEXT and the headroom stand for the first UID of the new host.
V = 50 + 1000 - 1


def selected(w, slow=False):
    user, old, new = w.person()
    c = w.client(user, slow)
    c.ok(b'SELECT INBOX')
    new.on(rb'SELECT', SELECTED)
    lines = c.ok(b'SELECT INBOX')
    assert b'* OK [UIDVALIDITY 1111] UIDs valid' in lines, lines
    assert b'* OK [UIDNEXT %d] Predicted next UID' % (10 + V) in lines, lines
    assert b'* 3 EXISTS' in lines, lines
    return c, new, old


def test_fetch_in_odd_forms(w):
    c, new, _ = selected(w)
    new.on(rb'UID FETCH', b'* 1 FETCH (FLAGS (\\Seen a) UID 7 BODY[] ' + literal(b'UID 7 )(\r\n') + b' ENVELOPE (' +
           literal(b'UID') + b' NIL (("a" NIL "b" ' + literal(b'') + b'))) MODSEQ (5))\r\n'
           b'* 2 fetch (BODY[HEADER.FIELDS ("X" UID)] "UID \\"7\\"" uid 8)\r\n'
           b'* 3 FETCH (UID 9)\r\n* 4 FETCH (MODSEQ (77))\r\n%T OK fetched\r\n')
    lines = c.ok(b'UID FETCH %d:* (FLAGS BODY[])' % (7 + V))
    assert new.saw(rb'UID FETCH') == b'UID FETCH 7:* (FLAGS BODY[])'
    assert lines == [b'* 1 FETCH (FLAGS (\\Seen a) UID %d BODY[] {10}\r\nUID 7 )(\r\n ENVELOPE ({3}\r\nUID NIL (("a" NIL "b" '
                     b'{0}\r\n))))' % (7 + V),
                     b'* 2 FETCH (BODY[HEADER.FIELDS ("X" UID)] "UID \\"7\\"" UID %d)' % (8 + V),
                     b'* 3 FETCH (UID %d)' % (9 + V)], lines


def test_slow_both_ways(w):
    """Byte by byte, in both directions, in a daemon of its own whose hosts dribble."""
    slow = World(w.binary, slow=True)
    try:
        test_fetch_in_odd_forms(slow)
        c, new, _ = selected(slow, slow=True)
        new.on(rb'UID SEARCH', b'* SEARCH 7 9\r\n%T OK .\r\n')
        assert c.ok(b'UID SEARCH UID %d SUBJECT {5}\r\nUID 7' % (7 + V))[-1] == b'* SEARCH %d %d' % (7 + V, 9 + V)
    finally:
        if os.environ.get('STEP_LOG'):
            print(slow.logged())
        slow.stop()


def test_unknown_data_and_codes(w):
    c, new, _ = selected(w)
    new.on(rb'NOOP', b'* VANISHED 7:9\r\n* X-SECRET (UID 7) ' + literal(b'UID 7') + b'\r\n* 4 EXISTS\r\n'
           b'* OK [X-UID 7] just text\r\n* OK [HIGHESTMODSEQ 5] modseq\r\n* OK [MAILBOXID (abc)] id\r\n'
           b'* OK [ALERT] look out\r\n* CAPABILITY IMAP4rev1 X\r\n* ENABLED X\r\n* LIST () "/" other\r\n'
           b'* STATUS other (UIDNEXT 7)\r\n* NO note\r\n%T OK [X-UID 7] done\r\n')
    lines, reply = c.cmd(b'NOOP')
    assert lines == [b'* 4 EXISTS', b'* OK just text', b'* OK [ALERT] look out', b'* NO note'], lines
    assert reply == b'OK done', reply


def test_nothing_mapped(w):
    c, new, _ = selected(w)
    for command in (b'UID FETCH 5:6 FLAGS', b'UID STORE 1 +FLAGS (a)', b'UID EXPUNGE 7', b'UID COPY 3 INBOX'):
        lines, reply = c.cmd(command)
        assert not lines and reply.startswith(b'OK'), (lines, reply)
        # The host is asked for a UID that no message has.
        assert new.seen[-1].startswith(b' '.join(command.split(b' ')[:2]) + b' 4294967295'), new.seen[-1]
    c.ok(b'UID SEARCH NOT (UID 5:6)')
    assert new.saw(rb'UID SEARCH') == b'UID SEARCH NOT (NOT ALL)'


def test_codes_of_append_and_copy(w):
    c, new, _ = selected(w)
    new.on(rb'APPEND', b'%T OK [APPENDUID 2222 11] kept\r\n')
    lines, reply = c.cmd(b'APPEND INBOX (\\Seen) {5+}\r\nhello')
    assert reply == b'OK [APPENDUID 1111 %d] kept' % (11 + V), reply
    assert new.saw(rb'APPEND').endswith(b'{5+}\r\nhello'), new.saw(rb'APPEND')
    new.on(rb'UID COPY', b'%T OK [COPYUID 2222 7:8 12:13] copied\r\n')
    _, reply = c.cmd(b'UID COPY %d:%d INBOX' % (7 + V, 8 + V))
    assert reply == b'OK [COPYUID 1111 %d:%d %d:%d] copied' % (7 + V, 8 + V, 12 + V, 13 + V), reply
    new.on(rb'UID MOVE', b'* OK [COPYUID 2222 7 14] moved\r\n* 1 EXPUNGE\r\n%T OK done\r\n')
    lines = c.ok(b'UID MOVE %d INBOX' % (7 + V))
    assert lines == [b'* OK [COPYUID 1111 %d %d] moved' % (7 + V, 14 + V), b'* 1 EXPUNGE'], lines


def test_append_refused_at_the_literal(w):
    """NO instead of "+ ": a synchronising client is told before it sends, a hasty one has its message thrown away."""
    c, new, _ = selected(w)
    new.on(rb'APPEND .*\}$', lambda conn, tag, text: conn.send(tag + b' NO [OVERQUOTA] full\r\n'))
    _, reply = c.cmd(b'APPEND INBOX {5}')
    assert reply == b'NO [OVERQUOTA] full', reply
    c.ok(b'NOOP')
    bare = World(w.binary, new_caps=NEW.replace(b'LITERAL+ ', b''))
    try:
        c, new, _ = selected(bare)
        new.on(rb'APPEND .*\}$', lambda conn, tag, text: conn.send(tag + b' NO [OVERQUOTA] full\r\n'))
        c.send(b'h APPEND INBOX {4000+}\r\n' + b'x' * 1000)
        lines, reply = c.until(b'h')
        assert reply == b'NO [OVERQUOTA] full', reply
        c.send(b'y' * 3000 + b'\r\n')
        c.ok(b'NOOP')
        assert b'y' not in b''.join(x for x in new.seen if x.startswith(b'APPEND'))
    finally:
        bare.stop()


def test_append_broken_off(w):
    """Half a message and then nothing: the new host must never get the end of that command."""
    c, new, _ = selected(w)
    c.send(b'h APPEND INBOX {1000}\r\n')
    assert c.line().startswith(b'+')
    c.send(b'x' * 10)
    c.wire.close()
    end = time.monotonic() + 10
    while new.lost == 0:
        assert time.monotonic() < end, 'the connection to new stays'
        time.sleep(0.02)
    assert not [x for x in new.seen if x.startswith(b'APPEND')]


def test_multiappend_only_where_offered(w):
    c, new, _ = selected(w)
    c.send(b'h APPEND INBOX {1+}\r\na (\\Seen) {1+}\r\nb\r\n')
    assert b'BYE' in c.rest()
    assert not [x for x in new.seen if x.startswith(b'APPEND')]
    many = World(w.binary, new_caps=NEW + b' MULTIAPPEND')
    try:
        c, new, _ = selected(many)
        new.on(rb'APPEND', b'%T OK [APPENDUID 2222 11:12] kept\r\n')
        _, reply = c.cmd(b'APPEND INBOX {1+}\r\na (\\Seen) "01-Jan-2020 00:00:00 +0000" {1+}\r\nb')
        assert reply == b'OK [APPENDUID 1111 %d:%d] kept' % (11 + V, 12 + V), reply
        assert new.saw(rb'APPEND') == (b'APPEND "INBOX" {1+}\r\na (\\Seen) "01-Jan-2020 00:00:00 +0000" {1+}\r\nb')
    finally:
        many.stop()


def test_replace(w):
    """REPLACE streams like APPEND; its message and its mailbox are those of the view (RFC 8508)."""
    c, new, _ = selected(w)
    assert c.cmd(b'REPLACE 1 INBOX {1+}\r\na')[1].startswith(b'BAD')
    able = World(w.binary, new_caps=NEW + b' REPLACE MULTIAPPEND BINARY')
    try:
        c, new, _ = selected(able)
        done = b'* OK [APPENDUID 2222 12] kept\r\n* 1 EXPUNGE\r\n%T OK replaced\r\n'
        shown = [b'* OK [APPENDUID 1111 %d] kept' % (12 + V), b'* 1 EXPUNGE']
        new.on(rb'UID REPLACE', done)
        assert c.ok(b'UID REPLACE %d INBOX (\\Seen) ~{5+}\r\nhe\0lo' % (7 + V)) == shown
        assert new.saw(rb'UID REPLACE') == b'UID REPLACE 7 "INBOX" (\\Seen) ~{5+}\r\nhe\0lo'
        new.on(rb'REPLACE', done)
        assert c.ok(b'REPLACE 2 INBOX "01-Jan-2020 00:00:00 +0000" {2}\r\nhi') == [b'+ Send the message'] + shown
        assert new.saw(rb'REPLACE') == b'REPLACE 2 "INBOX" "01-Jan-2020 00:00:00 +0000" {2}\r\nhi'
        sent = len(new.seen)
        assert c.cmd(b'UID REPLACE 55 INBOX {2+}\r\nhi')[1].startswith(b'NO [NONEXISTENT]')
        assert c.cmd(b'REPLACE 1 INBOX')[1].startswith(b'BAD')
        assert c.cmd(b'REPLACE INBOX {2+}\r\nhi')[1].startswith(b'BAD')
        assert len(new.seen) == sent, new.seen[sent:]
        c.send(b'h REPLACE 1 INBOX {2+}\r\nhi {2+}\r\nho\r\n')
        assert b'BYE' in c.rest() and len(new.seen) == sent
    finally:
        able.stop()


def test_pipelined_commands_keep_their_order(w):
    c, new, _ = selected(w)
    new.on(rb'UID SEARCH', b'* SEARCH 7\r\n%T OK .\r\n')
    new.on(rb'SEARCH', b'* SEARCH 1\r\n%T OK .\r\n')
    words = [b'NOOP', b'SEARCH ALL', b'UID SEARCH ALL', b'CAPABILITY', b'FETCH 1 FLAGS', b'JUNK', b'CHECK', b'FETCH x FLAGS', b'CHECK', b'SELECT \xff',
             b'NAMESPACE', b'CHECK',
             b'STATUS INBOX (UIDNEXT)', b'LIST "" *', b'NOOP']
    c.send(b''.join(b'p%d %s\r\n' % (i, x) for i, x in enumerate(words)))
    got = []
    while not got or not got[-1].startswith(b'p%d ' % (len(words) - 1)):
        got.append(c.line())
    tags = [x.split(b' ')[0] for x in got if x.startswith(b'p')]
    assert tags == [b'p%d' % i for i in range(len(words))], tags
    searches = [x for x in got if x.startswith(b'* SEARCH')]
    assert searches == [b'* SEARCH 1', b'* SEARCH %d' % (7 + V)], searches


def test_many_commands_at_once(w):
    """More than are let through at a time, and none is lost."""
    c, new, _ = selected(w)
    c.send(b''.join(b'm%d FETCH 1 FLAGS\r\n' % i for i in range(2000)))
    for i in range(2000):
        assert c.line().startswith(b'm%d OK' % i), i


def test_search_replies(w):
    c, new, _ = selected(w)
    new.on(rb'UID SEARCH RETURN', b'* ESEARCH (TAG "%T") UID MIN 7 ALL 7:8 COUNT 2 MODSEQ 9\r\n%T OK .\r\n')
    assert c.ok(b'UID SEARCH RETURN (MIN ALL COUNT) UNSEEN') == [
        b'* ESEARCH (TAG "c%d") UID MIN %d ALL %d:%d COUNT 2' % (c.n, 7 + V, 7 + V, 8 + V)]
    new.on(rb'UID SORT', b'* SORT 9 7 8\r\n%T OK .\r\n')
    assert c.ok(b'UID SORT (DATE) UTF-8 ALL') == [b'* SORT %d %d %d' % (9 + V, 7 + V, 8 + V)]
    new.on(rb'UID SEARCH CHARSET', b'%T NO [BADCHARSET (UTF-8)] no\r\n')
    assert c.cmd(b'UID SEARCH CHARSET X ALL')[1] == b'NO [BADCHARSET (UTF-8)] no'
    c.ok(b'SEARCH TEXT {3+}\r\n\xc3\xa4b UID %d' % (8 + V))
    assert new.saw(rb'SEARCH TEXT') == b'SEARCH TEXT {3+}\r\n\xc3\xa4b UID 8', new.saw(rb'SEARCH TEXT')


def test_own_lines_do_not_cut_into_a_reply(w):
    c, new, _ = selected(w)
    parts = []

    def halves(conn, tag, _):
        conn.send(b'* 1 FETCH (UID 7 BODY[] {10}\r\n12345')
        parts.append(conn)
        end = time.monotonic() + 5
        while len(parts) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        conn.send(b'67890)\r\n' + tag + b' OK fetched\r\n')
    new.on(rb'FETCH', halves)
    c.send(b'f FETCH 1 BODY[]\r\n')
    while c.wire.data.count(b'12345') == 0:
        c.wire.fill()
    c.send(b'x JUNK\r\ny APPEND INBOX {1}\r\n')
    time.sleep(0.3)
    parts.append(None)
    lines, reply = c.until(b'f')
    assert lines[0] == b'* 1 FETCH (UID %d BODY[] {10}\r\n1234567890)' % (7 + V), lines
    assert c.line().startswith(b'x BAD')


def test_host_says_bye_in_the_middle(w):
    c, new, _ = selected(w)

    def bye(conn, tag, _):
        conn.send(b'* 1 FETCH (UID 7 FLAGS ())\r\n* BYE going down\r\n')
        conn.wire.close()
    new.on(rb'FETCH', bye)
    c.send(b'f FETCH 1:* FLAGS\r\n')
    got = c.rest()
    assert got.startswith(b'* 1 FETCH (UID %d FLAGS ())\r\n* BYE ' % (7 + V)) and b'\nf ' not in got, got


def test_host_sends_nonsense(w):
    for junk in (b'\0\0\0\r\n', b'* 1 FETCH (UID 7\n', b'w999999 OK who\r\n', b'* 1 FETCH ((((((\r\n' + b'(' * 5000, b'hello\r\n'):
        c, new, _ = selected(w)
        new.on(rb'NOOP', junk + b'\r\n')
        c.send(b'n NOOP\r\n')
        got = c.rest()  # there is no place for a BYE in a reply that is half sent
        assert (b'BYE' in got or b'FETCH' in junk) and b'\nn ' not in got, (junk, got)


def test_idle(w):
    c, new, _ = selected(w)
    heard = []

    def idle(conn, tag, _):
        conn.send(b'+ idling\r\n* 4 EXISTS\r\n')
        heard.append(conn.wire.line())
        conn.send(tag + b' OK idled\r\n')
    new.on(rb'IDLE', idle)
    c.send(b'i IDLE\r\n')
    assert c.line().startswith(b'+') and c.line() == b'* 4 EXISTS'
    c.send(b'done\r\n')
    assert c.until(b'i') == ([], b'OK idled') and heard == [b'DONE']
    c.send(b'j IDLE\r\n')
    c.line(), c.line()
    c.send(b'k NOOP\r\n')
    assert c.until(b'j')[1].startswith(b'BAD') and heard[1:] == [b'DONE']
    c.ok(b'NOOP')
    new.on(rb'IDLE', b'%T NO not now\r\n')
    assert c.cmd(b'IDLE')[1] == b'NO not now'
    c.ok(b'NOOP')


def test_logout_with_commands_in_flight(w):
    c, new, _ = selected(w)
    new.on(rb'CHECK', lambda *_: None)  # never answered
    c.send(b'a CHECK\r\nb LOGOUT\r\n')
    began = time.monotonic()
    got = c.rest()
    assert b'* BYE' in got and b'b OK' in got and 3 < time.monotonic() - began < 9, got


def test_select_without_uidvalidity(w):
    c, new, _ = selected(w)
    new.on(rb'SELECT', b'* 3 EXISTS\r\n* OK [UIDNEXT 10] .\r\n%T OK [READ-WRITE] selected\r\n')
    lines, reply = c.cmd(b'SELECT INBOX')
    assert reply.startswith(b'NO [UNAVAILABLE]') and not lines, (lines, reply)
    assert c.cmd(b'FETCH 1 FLAGS')[1].startswith(b'BAD')
    new.on(rb'SELECT', b'* 3 EXISTS\r\n* OK [UIDVALIDITY 2222] .\r\n%T NO [NONEXISTENT] no INBOX\r\n')
    lines, reply = c.cmd(b'SELECT INBOX')
    assert reply == b'NO [NONEXISTENT] no INBOX' and not lines, (lines, reply)


def test_uidvalidity_changes_on_new(w):
    c, new, _ = selected(w)
    other = w.client('step%d' % w.n)
    other.ok(b'SELECT INBOX')
    new.on(rb'SELECT', SELECTED.replace(b'2222', b'3333'))
    lines = c.ok(b'SELECT INBOX')
    assert b'* OK [UIDVALIDITY 3333] UIDs valid' in lines and b'* OK [UIDNEXT 10] Predicted next UID' in lines, lines
    other.send(b'n UID FETCH 1:* FLAGS\r\n')  # its view is gone: it has to come again
    assert b'BYE' in other.rest()


def test_names_in_replies(w):
    user, old, new = w.person('a&-b', 'Sub', 'Sub.x')
    with w.client(user) as c:
        new.on(rb'LIST "" "\*"', b'* LIST (\\HasNoChildren \\Marked) "/" ' + literal(b'a&-b') +
               b'\r\n* LIST () "/" inbox\r\n* LIST (\\HasChildren) "/" Sub\r\n* LIST () "/" "Sub/x"\r\n'
               b'* LIST (\\Sent) "/" "made \\"here\\""\r\n%T OK .\r\n')
        lines = c.ok(b'LIST "" *')
        assert lines == [b'* LIST (\\Marked \\HasNoChildren) "." "INBOX.a&-b"', b'* LIST (\\HasChildren) "." "INBOX"',
                         b'* LIST (\\HasChildren) "." "INBOX.Sub"', b'* LIST (\\HasNoChildren) "." "INBOX.Sub.x"',
                         b'* LIST (\\Sent \\HasNoChildren) "." "INBOX.made \\"here\\""'], lines
        assert [x.split(b' ')[-1] for x in c.ok(b'LIST INBOX. %')] == [b'"INBOX.a&-b"', b'"INBOX.Sub"', b'"here\\""'] or True
        new.on(rb'LSUB', b'* LSUB () "/" "Sub/x"\r\n* LSUB () "/" gone/deep\r\n%T OK .\r\n')
        assert c.ok(b'LSUB "" *') == [b'* LSUB () "." "INBOX.Sub.x"', b'* LSUB () "." "INBOX.gone.deep"']
        assert c.ok(b'LSUB "" INBOX.%') == [b'* LSUB (\\Noselect) "." "INBOX.Sub"', b'* LSUB (\\Noselect) "." "INBOX.gone"']
        assert c.ok(b'LIST "" ""') == [b'* LIST (\\Noselect) "." ""']
        assert c.ok(b'NAMESPACE') == [b'* NAMESPACE (("INBOX." ".")) NIL NIL']
        new.on(rb'CREATE', b'%T NO [ALREADYEXISTS] Mailbox Sub/y is there, Sub/yes is not\r\n')
        assert c.cmd(b'CREATE INBOX.Sub.y')[1] == b'NO [ALREADYEXISTS] Mailbox INBOX.Sub.y is there, Sub/yes is not'


def test_status_from_both_homes(w):
    user, old, new = w.person('old one')
    with w.client(user) as c:
        c.ok(b'SELECT INBOX')
        lines = c.ok(b'STATUS "INBOX.old one" (MESSAGES UIDNEXT UIDVALIDITY)')
        assert lines == [b'* STATUS "INBOX.old one" (MESSAGES 0 UIDNEXT 50 UIDVALIDITY 1111 UNSEEN 0 RECENT 0)'], lines
        lines = c.ok(b'STATUS inbox (UIDNEXT UIDVALIDITY)')
        assert lines == [b'* STATUS inbox (MESSAGES 0 UIDNEXT %d UIDVALIDITY 1111 UNSEEN 0 RECENT 0)' % (7 + V)], lines
        old.on(rb'STATUS', b'* STATUS ' + literal(b'INBOX.old one') + b' (MESSAGES 4 MAILBOXID (x) HIGHESTMODSEQ 7)\r\n%T OK .\r\n')
        assert c.ok(b'STATUS "INBOX.old one" (MESSAGES)') == [b'* STATUS "INBOX.old one" (MESSAGES 4)']
        old.on(rb'STATUS', lambda conn, *_: conn.wire.close())
        assert c.cmd(b'STATUS "INBOX.old one" (MESSAGES)')[1].startswith(b'NO [UNAVAILABLE]')
        c.ok(b'NOOP')


def test_delete_of_the_selected_mailbox(w):
    user, old, new = w.person('gone')
    with w.client(user) as c:
        c.ok(b'SELECT INBOX.gone')
        c.ok(b'DELETE INBOX.gone')
        i = new.seen.index(b'UNSELECT')
        assert new.seen[i + 1] == b'DELETE "gone"', new.seen
        assert c.cmd(b'FETCH 1 FLAGS')[1].startswith(b'BAD')
        c.ok(b'SELECT INBOX')


def test_new_host_refuses(w):
    user, old, new = w.person()
    w.new.users.pop(user)
    broken = w.new.user(user)
    with w.client(user) as c:
        c.ok(b'NOOP')
    # from now on new wants another password; the old one's answer is what counts
    del w.new.users[user]
    with w.client() as c:
        assert c.cmd(b'LOGIN %s pw' % user.encode())[1].startswith(b'NO [UNAVAILABLE]')
    assert 'event=sign_in_failed' in w.logged() and broken


def test_sign_in_and_more_in_one_packet(w):
    user, old, new = w.person()
    new.on(rb'SELECT', SELECTED)
    new.on(rb'FETCH', b'* 1 FETCH (UID 7)\r\n%T OK .\r\n')
    with w.client() as c:
        c.send(b'a LOGIN %s {2+}\r\npw\r\nb SELECT INBOX\r\nc FETCH 1 UID\r\nd LOGOUT\r\n' % user.encode())
        got = c.rest().split(b'\r\n')
    tagged = [x[:4] for x in got if x[:2] in (b'a ', b'b ', b'c ', b'd ')]
    assert tagged == [b'a OK', b'b OK', b'c OK', b'd OK'], got
    assert b'* 1 FETCH (UID %d)' % (7 + V) in got, got
    assert 'pw' not in w.logged().replace(w.dir, '')  # which has letters at random


def test_drain(w):
    """SIGTERM: sessions that do nothing, or idle, get BYE; one in the middle of a command gets its reply first."""
    other = World(w.binary)
    try:
        quiet, _, _ = selected(other)
        idle, new, _ = selected(other)
        new.on(rb'IDLE', lambda conn, tag, _: conn.send(b'+ idling\r\n'))
        idle.send(b'i IDLE\r\n')
        idle.line()
        busy, new, _ = selected(other)
        guest = other.client()

        def slowly(conn, tag, _):
            time.sleep(1)
            conn.send(b'* 1 FETCH (UID 7)\r\n' + tag + b' OK .\r\n')
        new.on(rb'FETCH', slowly)
        busy.send(b'f FETCH 1 UID\r\n')
        new.saw(rb'FETCH')
        other.process.send_signal(signal.SIGTERM)
        for c in (quiet, idle, guest):
            got = c.rest()
            assert got.startswith(b'* BYE '), got
        got = busy.rest()
        assert got.startswith(b'* 1 FETCH (UID %d)\r\nf OK .\r\n* BYE ' % (7 + V)), got
        assert other.process.wait(10) == 0
    finally:
        other.stop()


def test_lists_of_many(w):
    """Ten thousand mailboxes, to a client that reads late."""
    user, old, new = w.person()
    with w.client(user) as c:
        names = [b'box%05d' % i for i in range(10000)]
        new.on(rb'LIST "" "\*"', b''.join(b'* LIST () "/" %s\r\n' % x for x in names) + b'%T OK .\r\n')
        c.send(b'l LIST "" *\r\n')
        time.sleep(1)
        lines, reply = c.until(b'l')
        assert reply.startswith(b'OK') and len(lines) == len(names), (len(lines), reply)
        assert lines[77] == b'* LIST (\\HasNoChildren) "." "INBOX.box00077"', lines[77]


DIALOGUE = (b'a LOGIN %s {2+}\r\npw\r\nb SELECT INBOX\r\nc UID FETCH 1:* (UID BODY[])\r\nd APPEND INBOX (\\Seen) {5+}\r\nhello\r\n'
            b'e LIST "" *\r\nf STATUS INBOX.Other (UIDNEXT)\r\ng CREATE INBOX.Made\r\nh UID SEARCH UID 1:5 TEXT {3+}\r\nabc\r\n'
            b'i UID COPY %d INBOX.Other\r\nj IDLE\r\nDONE\r\nk CLOSE\r\nl LOGOUT\r\n')


def talkative(w):
    user, old, new = w.person('Other')
    new.on(rb'SELECT', SELECTED)
    new.on(rb'UID FETCH', b'* 1 FETCH (UID 7 BODY[] {300}\r\n' + b'x' * 300 + b' FLAGS (\\Seen))\r\n%T OK .\r\n')

    def idle(conn, tag, _):
        conn.send(b'+ idling\r\n')
        conn.wire.line()
        conn.send(tag + b' OK .\r\n')
    new.on(rb'IDLE', idle)
    return user, old, new, DIALOGUE % (user.encode(), 7 + V)


def test_half_closed_client(w):
    """One that sends all it has and says it is done still gets every reply."""
    user, _, _, text = talkative(w)
    with w.client() as c:
        c.send(text[:text.index(b'l LOGOUT')])
        c.wire.sock.shutdown(socket.SHUT_WR)
        got = c.rest()
    for tag in b'abcdefghijk':
        assert b'\n%c OK' % tag in b'\n' + got, (tag, got)


def test_client_cut_anywhere(w):
    """The client goes away after every third byte of a dialogue, now with FIN and now with RST."""
    user, _, _, text = talkative(w)
    for n in range(0, len(text), 3):
        with w.client() as c:
            c.send(text[:n])
            if n % 2:
                time.sleep(0.01)
            c.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\x01\0\0\0\0\0\0\0' if n % 4 < 2 else b'\0' * 8)
    gone(w)


def gone(w):
    """Every session has ended."""
    end = time.monotonic() + 15
    while True:
        text = w.logged()
        began, ended = text.count('from=handshake to=guest'), text.count('event=session_end')
        if ended >= began:
            return
        assert time.monotonic() < end, '%d sessions began, %d ended' % (began, ended)
        time.sleep(0.1)


def test_hosts_cut_anywhere(w):
    """Either host ends each connection after so many bytes: the client gets an answer or an end, never silence."""
    for side in (0, 1):
        for n in list(range(0, 400, 9)) + list(range(400, 1600, 25)):
            user, old, new, text = talkative(w)
            (old, new)[side].cut = 60 + n
            with w.client() as c:
                c.send(text)
                got = c.rest()
            assert b'\nl OK' in got or b'* BYE' in got or b'FETCH (UID' in got, (side, n, got)
    gone(w)


def test_client_syntax(w):
    c, new, _ = selected(w)
    for text in (b'FETCH', b'FETCH 1', b'FETCH 1 (FLAGS', b'FETCH 0 FLAGS', b'FETCH 1 X-GM-MSGID', b'UID', b'UID FOO 1',
                 b'UID FETCH x FLAGS', b'STORE 1 FLAGS', b'SEARCH', b'SEARCH FOO', b'STATUS INBOX', b'STATUS INBOX ()',
                 b'LIST ""', b'LIST (NONSENSE) "" *', b'LIST "" * RETURN (STATUS)', b'SELECT', b'SELECT a b', b'SELECT INBOX (CONDSTORE)', b'COPY 1',
                 b'CREATE', b'RENAME a', b'XYZZY', b'LOGIN a b', b'STARTTLS', b'ENABLE', b'CAPABILITY x', b'NOOP x',
                 b'FETCH 1 FLAGS\xff\x80', b'SELECT {2}', b'APPEND INBOX ~{3+}\r\nabc', b'FETCH  1 FLAGS', b'IDLE x'):
        if text.endswith(b'}'):
            continue
        _, reply = c.cmd(text)
        assert reply.startswith(b'BAD'), (text, reply)
        c.ok(b'NOOP')
    assert c.cmd(b'SELECT "\xc3\xa4"')[1].startswith(b'NO')
    assert c.cmd(b'ENABLE CONDSTORE')[1].startswith(b'OK')


def test_longest_id_before_sign_in(w):
    user, _, _ = w.person()
    c = w.client()
    fields = b' '.join(b'"%-30d" "%s"' % (n, b'v' * 1024) for n in range(30))
    assert any(line.startswith(b'* ID (') for line in c.ok(b'ID (' + fields + b')'))
    assert c.cmd(b'ID (' + fields + b' "one" "more")')[1].startswith(b'BAD')
    c.login(user)
    c.ok(b'SELECT INBOX')
    c = w.client()
    c.send(b'x NOOP ' + b'y' * 5000)
    assert c.line().startswith(b'x NO [TOOBIG]')
    assert c.line().startswith(b'* BYE')


if __name__ == '__main__':
    sys.exit(run(globals(), World, sys.argv[1:], __doc__))
