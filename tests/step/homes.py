#!/usr/bin/env python3
"""COPY and MOVE between scripted hosts: messages and replies that real ones do not have.

Run in the build folder (make check does), or with --bin DIR [-k WORD].
"""

import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from boxes import MailHost  # noqa: E402
from front import MORE, NEW, OLD, World  # noqa: E402
from peers import WAIT, literal  # noqa: E402
from runner import run  # noqa: E402

MULTI = NEW + b' MULTIAPPEND'


class Homes(World):
    def __init__(self, binary, more=MORE):
        super().__init__(binary, MULTI, host=MailHost, more=more)
        self.old.caps = OLD + b' UIDPLUS UNSELECT LITERAL+'
        self.old.shared = 'Public.'

    def logs(self, text, times=1):
        """Waits until it was logged."""
        end = time.monotonic() + WAIT
        while self.logged().count(text) < times:
            assert time.monotonic() < end, text
            time.sleep(0.01)


def scene(w, *bodies):
    """(client in Public.News of old, script of old, script of new); INBOX is at home on new."""
    user, old, new = w.person()
    old.boxes.append('Public.News')
    old.mail['Public.News'] = type(old.box())(4444)
    for body in bodies or (b'Subject: a\r\n\r\none\r\n', b'Subject: b\r\n\r\ntwo\r\n', b'Subject: c\r\n\r\nthree\r\n'):
        old.box('Public.News').add(body, b'\\Seen')
    c = w.client(user)
    c.ok(b'SELECT INBOX')
    c.ok(b'SELECT Public.News')
    return c, old, new


def test_plain(w):
    c, old, new = scene(w)
    _, reply = c.cmd(b'UID COPY 1:2 INBOX')
    assert re.fullmatch(rb'OK \[COPYUID 1111 1:2 \d+:\d+\] Copied', reply), reply
    assert new.box().bodies() == old.box('Public.News').bodies()[:2]
    lines, reply = c.cmd(b'MOVE 3 INBOX')
    assert reply == b'OK Moved', reply
    assert re.fullmatch(rb'\* OK \[COPYUID 1111 3 \d+\] Moved', lines[0]) and b'* 3 EXPUNGE' in lines, lines
    assert len(new.box().messages) == 3 and len(old.box('Public.News').messages) == 2


def test_a_nul_in_it(w):
    """Nothing is stored: IMAP's literals cannot carry it."""
    c, old, new = scene(w, b'Subject: a\r\n\r\none\r\n', b'Subject: b\r\n\r\nt\0o\r\n')
    for command in (b'UID COPY 1:2 INBOX', b'MOVE 1:2 INBOX'):
        assert c.cmd(command)[1].startswith(b'NO [CANNOT] One of the messages holds a NUL')
        assert not new.box().messages and len(old.box('Public.News').messages) == 2


def test_an_empty_one(w):
    c, old, new = scene(w, b'Subject: a\r\n\r\none\r\n', b'')
    assert c.cmd(b'UID COPY 1:2 INBOX')[1].startswith(b'NO [CANNOT] One of the messages is empty')
    assert not new.box().messages


def test_gone_meanwhile(w):
    """A message that is expunged between the list and its turn is passed over."""
    c, old, new = scene(w)
    box = old.box('Public.News')

    def expunge(conn, tag, text):
        del box.messages[1]
        conn.catch_up()
        conn.send(tag + b' OK done\r\n')
    old.on(rb'UID FETCH 2 \(BODY', expunge)
    lines, reply = c.cmd(b'UID COPY 1:3 INBOX')
    assert re.fullmatch(rb'OK \[COPYUID 1111 1,3 \d+:\d+\] Copied', reply), reply
    assert b'* 2 EXPUNGE' in lines, lines
    assert [m.body for m in new.box().messages] == [m.body for m in box.messages]


def test_news_while_it_lasts(w):
    """What the source tells about other messages reaches the client."""
    c, old, new = scene(w)
    body = old.box('Public.News').messages[0].body

    def chatty(conn, tag, text):
        conn.send(b'* 3 FETCH (FLAGS (\\Flagged))\r\n* 4 EXISTS\r\n* 1 FETCH (BODY[] ' + literal(body) + b' UID 1)\r\n'
                  b'* 2 FETCH (UID 2 FLAGS (\\Seen key))\r\n' + tag + b' OK done\r\n')
    old.on(rb'UID FETCH 1 \(BODY', chatty)
    lines, reply = c.cmd(b'UID COPY 1 INBOX')
    assert reply.startswith(b'OK [COPYUID'), reply
    assert lines == [b'* 3 FETCH (FLAGS (\\Flagged))', b'* 4 EXISTS', b'* 2 FETCH (UID 2 FLAGS (\\Seen key))'], lines
    assert new.box().bodies() == [body]


def test_source_sends_no_body(w):
    """It is there, so who hears OK might expunge the only one."""
    c, old, new = scene(w)
    for answer in (b'* 2 FETCH (UID 2 BODY[] NIL)\r\n%T OK done\r\n', b'%T NO [SERVERBUG] it cannot be read\r\n',
                   b'* 2 FETCH (UID 2)\r\n%T NO some failed\r\n', b'%T BAD no\r\n'):
        old.on(rb'UID FETCH 2 \(BODY', answer)
        for command in (b'UID COPY 1:3 INBOX', b'UID MOVE 1:3 INBOX'):
            assert c.cmd(command)[1].startswith(b'NO [UNAVAILABLE]'), (answer, command)
    assert not new.box().messages and len(old.box('Public.News').messages) == 3
    old.on(rb'UID FETCH 2 \(BODY', b'%T NO [EXPUNGEISSUED] gone\r\n')
    assert c.cmd(b'UID COPY 1:3 INBOX')[1].startswith(b'OK [COPYUID 1111 1,3 ')


def test_destination_refuses(w):
    c, old, new = scene(w)
    new.on(rb'APPEND', b'%T NO [OVERQUOTA] no room in INBOX\r\n')
    assert c.cmd(b'UID COPY 1:2 INBOX')[1] == b'NO [OVERQUOTA] no room in INBOX'
    lines, reply = c.cmd(b'UID MOVE 1:2 INBOX')
    assert reply.startswith(b'NO [OVERQUOTA]') and not lines, (lines, reply)
    assert len(old.box('Public.News').messages) == 3
    assert not [x for x in old.seen if x.startswith((b'UID STORE', b'UID EXPUNGE'))]


def test_source_keeps_them(w):
    """MOVE where the source takes no \\Deleted: what was stored goes again."""
    c, old, new = scene(w)
    old.on(rb'UID STORE', b'%T NO you may not\r\n')
    lines, reply = c.cmd(b'UID MOVE 1:2 INBOX')
    assert reply.startswith(b'NO [CANNOT] The messages cannot be removed'), (lines, reply)
    assert not new.box().messages and len(old.box('Public.News').messages) == 3


def half_marked(conn, tag, text):
    """Marks the first of them, and says NO."""
    conn.box.messages[0].flags += b' \\Deleted'
    conn.send(tag + b' NO [LIMIT] not all of them\r\n')


def test_source_marks_some(w):
    """The mark goes before the copies do: else the client's next EXPUNGE would take what is nowhere else."""
    c, old, new = scene(w)
    box = old.box('Public.News')
    old.on(rb'UID STORE 1:2 \+FLAGS', half_marked)

    def unmark(conn, tag, text):
        box.messages[0].flags = b'\\Seen'
        conn.send(tag + b' OK done\r\n')
    old.on(rb'UID STORE 1:2 -FLAGS', unmark)
    _, reply = c.cmd(b'UID MOVE 1:2 INBOX')
    assert reply.startswith(b'NO [CANNOT] The messages cannot be removed'), reply
    assert not new.box().messages and [m.flags for m in box.messages] == [b'\\Seen'] * 3


def test_source_keeps_the_mark(w):
    """It cannot be taken off: then the copies stay."""
    c, old, new = scene(w)
    old.on(rb'UID STORE 1:2 \+FLAGS', half_marked)
    old.on(rb'UID STORE 1:2 -FLAGS', b'%T NO you may not\r\n')
    _, reply = c.cmd(b'UID MOVE 1:2 INBOX')
    assert reply == b'NO [CANNOT] The messages were copied, but could not be removed', reply
    assert new.box().bodies() == old.box('Public.News').bodies()[:2]


def test_source_does_not_expunge(w):
    """From there on nothing is taken back: better twice than not at all."""
    c, old, new = scene(w)
    old.on(rb'UID EXPUNGE', b'%T NO not now\r\n')
    _, reply = c.cmd(b'UID MOVE 1:2 INBOX')
    assert reply == b'NO [CANNOT] The messages were copied, but could not be removed', reply
    assert len(new.box().messages) == 2 and len(old.box('Public.News').messages) == 3


def test_destination_lost_in_the_removal(w):
    """It has them by then, and the source may have them no more."""
    for command in (rb'UID STORE', rb'UID EXPUNGE'):
        c, old, new = scene(w)
        kept, conns = new.box(), []

        def append(conn, tag, text):
            conns.append(conn)
            conn.usual(tag, text)
        new.on(rb'APPEND', append)

        def lose(conn, tag, text):
            before = w.logged().count('event=copy_host_lost')
            conns[0].wire.sock.shutdown(socket.SHUT_RDWR)
            w.logs('event=copy_host_lost', before + 1)
            conn.usual(tag, text)
        old.on(command, lose)
        lines, reply = c.cmd(b'UID MOVE 1:2 INBOX')
        assert reply == b'OK Moved', (lines, reply)
        assert len(kept.messages) == 2 and len(old.box('Public.News').messages) == 1


def test_half_closed_client(w):
    """What has begun is brought to its end."""
    for command in (rb'UID FETCH 2 \(BODY', rb'UID STORE', rb'UID EXPUNGE'):
        c, old, new = scene(w)
        port = c.wire.sock.getsockname()[1]

        def close(conn, tag, text):
            c.wire.sock.shutdown(socket.SHUT_WR)
            w.logs('from=open to=eof peer=127.0.0.1 port=%d ' % port)
            conn.usual(tag, text)
        old.on(command, close)
        c.send(b'm UID MOVE 1:3 INBOX\r\n')
        assert c.until(b'm')[1] == b'OK Moved'
        assert c.rest() == b''
        assert len(new.box().messages) == 3 and not old.box('Public.News').messages


def test_no_appenduid(w):
    c, old, new = scene(w)
    new.on(rb'APPEND', b'%T OK stored\r\n')
    assert c.cmd(b'UID COPY 1:2 INBOX')[1] == b'OK Copied'


BRIEF = MORE + 'limits { keep_awake_seconds = 1 old_rest_seconds = 1 }\n'


def brief(test):
    """With a daemon of its own, whose long times are a second."""
    def run_it(w):
        own = Homes(w.binary, BRIEF)
        try:
            test(own)
        finally:
            own.stop()
    return run_it


@brief
def test_numbers_stay_before_a_command(w):
    """A session that was silent keeps its host awake with the next command: nothing that lets the host change numbers comes
    before one that names messages by them."""
    user, _, new = w.person()
    new.box().fill(3)
    c = w.client(user)
    c.ok(b'SELECT INBOX')
    first = new.box().messages.pop(0)  # another client's doing, of which this one does not know
    hit = []

    def store(conn, tag, text):
        hit.append(conn.view[int(text.split()[1]) - 1])
        conn.send(tag + b' OK done\r\n')
    new.on(rb'STORE', store)
    time.sleep(1.2)  # the silence itself
    lines, _ = c.cmd(b'STORE 2 +FLAGS (\\Deleted)')
    assert hit == [new.box().messages[0]] and hit[0] is not first, hit
    assert not [x for x in lines if x.endswith(b'EXPUNGE')], lines
    time.sleep(1.2)
    assert b'* 1 EXPUNGE' in c.ok(b'NOOP')


@brief
def test_append_refused_by_old_and_sent_on(w):
    """Old refuses the message before its end, and the client takes longer to send the rest than an unused connection lasts."""
    c, old, _ = scene(w)
    c.ok(b'SELECT INBOX')

    def refuse(conn, tag, text):
        conn.send(tag + b' NO [LIMIT] not that one\r\n')
        conn.wire.exactly(4000)
        conn.wire.line()
    old.on(rb'APPEND .*\}$', refuse)
    c.send(b'x APPEND Public.News {4000+}\r\n' + b'y' * 1000)
    assert c.line().startswith(b'x NO [LIMIT]')
    time.sleep(1.5)  # longer than the rest
    c.send(b'y' * 3000 + b'\r\n')
    c.ok(b'NOOP')
    c.ok(b'STATUS Public.News (MESSAGES)')
    assert len(old.box('Public.News').messages) == 3


if __name__ == '__main__':
    sys.exit(run(globals(), Homes, sys.argv[1:], __doc__))
