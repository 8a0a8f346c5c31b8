#!/usr/bin/env python3
"""A mailbox that is served from old while it is copied, and switched while sessions have it selected.

The copy is stopped at its first message, and later let go; in between a client works on old. Run in the build folder (make
check does), or with --bin DIR [-k WORD].
"""

import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from boxes import MailHost  # noqa: E402
from front import NEW, World  # noqa: E402
from move import Moving  # noqa: E402
from peers import WAIT  # noqa: E402
from runner import run  # noqa: E402

MULTI = NEW + b' MULTIAPPEND SEARCHRES'
OLD = b'IMAP4rev1 AUTH=PLAIN SASL-IR NAMESPACE LITERAL+ UIDPLUS UNSELECT IDLE ESEARCH SEARCHRES'
MORE = 'copy { uid_headroom = 1000 settle_seconds = 0 retry_seconds = 0 batch_messages = 10 sweep = no wait = 0 }\n'


class Live(World):
    unit, account = Moving.unit, Moving.account

    def __init__(self, binary, old=OLD):
        super().__init__(binary, MULTI, host=MailHost, more=MORE)
        self.binary = binary
        self.old.caps = old

    def logs(self, text, times=1):
        """Waits until it was logged."""
        end = time.monotonic() + WAIT
        while self.logged().count(text) < times:
            assert time.monotonic() < end, text
            time.sleep(0.005)


class Scene:
    """One person with `count` messages in INBOX, whose copy stands still until go()."""

    def __init__(self, w, count=25):
        self.w, self.free = w, threading.Event()
        self.user, self.old, self.new = w.person()
        self.old.box().fill(count)
        self.new.box().next = 100
        self.new.on(rb'APPEND', self.wait)

    def wait(self, conn, tag, text):
        assert self.free.wait(WAIT)
        conn.usual(tag, text)

    def client(self, command=b'SELECT INBOX'):
        c = self.w.client(self.user)
        lines = c.ok(command)
        assert b'* OK [UIDVALIDITY 1111] UIDs valid' in lines, lines
        return c

    def go(self, carried=1):
        """The copy goes on; returns when so many sessions were carried over."""
        self.free.set()
        self.w.logs('event=session_carried account=%s ' % self.user, carried)

    def same(self):
        """What is on new in the end is what is on old."""
        assert self.w.unit(self.user)['state'] == 'moved'
        old, new = self.old.box().messages, self.new.box().messages
        assert [m.body for m in new[:len(old)]] == [m.body for m in old], ([m.body for m in new], [m.body for m in old])
        assert [sorted(m.flags.split()) for m in new[:len(old)]] == [sorted(m.flags.split()) for m in old]


def uids(c):
    return [int(re.search(rb'UID (\d+)', x).group(1)) for x in c.ok(b'FETCH 1:* (UID)') if b'FETCH' in x]


def test_served_from_old_and_carried(w):
    s = Scene(w)
    with s.client() as c:
        assert uids(c) == list(range(1, 26))
        c.ok(b'UID STORE 3 +FLAGS (\\Flagged)')
        c.ok(b'STORE 4 +FLAGS (\\Deleted)')
        assert b'* 4 EXPUNGE' in c.ok(b'EXPUNGE')
        assert not s.new.box().messages and len(s.old.box().messages) == 24
        assert c.ok(b'STATUS INBOX (MESSAGES)')[0].startswith(b'* STATUS INBOX (MESSAGES 24')
        s.go()
        lines = c.ok(b'NOOP')
        assert b'* 24 EXISTS' in lines and not [x for x in lines if b'EXPUNGE' in x], lines
        assert uids(c) == [u for u in range(1, 26) if u != 4]
        c.ok(b'STORE 4 +FLAGS (\\Seen)')
        assert s.new.box().messages[3].flags == b'\\Seen' and s.old.box().messages[3].flags == b''
        s.old.box().messages[3].flags = b'\\Seen'
        s.same()


def test_within_idle(w):
    """IDLE ends and begins again at the hosts; the client idles all the time."""
    s = Scene(w)
    with s.client() as c:
        c.send(b'i IDLE\r\n')
        assert c.line() == b'+ idling'
        s.old.saw(rb'IDLE')
        s.old.box().fill(1, 100)
        assert c.line() == b'* 26 EXISTS'
        s.go()
        s.new.saw(rb'IDLE')
        got = []
        s.new.box().add(b'Subject: new\r\n\r\nnew\r\n')
        while b'* 27 EXISTS' not in got:
            got.append(c.line())
        assert not [x for x in got if b'EXPUNGE' in x or x.startswith(b'+')], got
        del s.new.box().messages[3]
        while b'* 4 EXPUNGE' not in got:
            got.append(c.line())
        c.send(b'DONE\r\n')
        lines, reply = c.until(b'i')
        assert reply.startswith(b'OK'), reply
        assert len(uids(c)) == 26


def test_done_while_it_is_carried(w):
    """The client ends its IDLE in that moment: it is answered, once."""
    s = Scene(w)
    waits = threading.Event()

    def slowly(conn, tag, text):
        assert waits.wait(WAIT)
        conn.usual(tag, text)
    with s.client() as c:
        c.send(b'i IDLE\r\n')
        assert c.line() == b'+ idling'
        s.old.saw(rb'IDLE')
        s.old.on(rb'UID SEARCH', slowly)
        s.free.set()
        s.old.saw(rb'UID SEARCH')
        c.send(b'DONE\r\nn NOOP\r\n')
        waits.set()
        assert c.until(b'i')[1].startswith(b'OK')
        assert c.until(b'n')[1].startswith(b'OK')
        assert len(uids(c)) == 25 and b'* 25 EXISTS' in c.ok(b'SELECT INBOX')


def test_idle_goes_on_where_it_does_not_move(w):
    """The gate is closed and opened again, since the mover's connection breaks in between."""
    s = Scene(w)
    with s.client() as c:
        c.send(b'i IDLE\r\n')
        assert c.line() == b'+ idling'
        s.old.saw(rb'IDLE')
        at_last_look(s, lambda: hang_up_last(s.old))
        s.free.set()
        w.logs('event=session_carried account=%s ' % s.user)
        assert len([x for x in s.old.seen if x == b'IDLE']) >= 2, s.old.seen
        c.send(b'DONE\r\n')
        lines, reply = c.until(b'i')
        assert reply.startswith(b'OK') and not [x for x in lines if x.startswith(b'+')], (lines, reply)
        s.same()


def test_pipelined_commands(w):
    """Many commands are on their way in that moment: each is answered in its turn, by whichever host."""
    s = Scene(w)
    with s.client() as c:
        n = 400
        s.free.set()
        for i in range(n):
            c.send(b'p%d ' % i + [b'UID FETCH 7 (FLAGS)', b'FETCH 7 (UID)', b'UID SEARCH ALL', b'NOOP'][i % 4] + b'\r\n')
        for i in range(n):
            lines, reply = c.until(b'p%d' % i)
            assert reply.startswith(b'OK'), (i, reply)
            if i % 4 == 1:
                assert b'* 7 FETCH (UID 7)' in lines, (i, lines)
            if i % 4 == 2:
                assert [x for x in lines if x.startswith(b'* SEARCH')] == [
                    b'* SEARCH' + b''.join(b' %d' % u for u in range(1, 26))], (i, lines)
        s.go()


def test_expunge_waits_for_its_moment(w):
    """Another session expunges, and this one is carried before it could be told: its numbers keep their meaning."""
    s = Scene(w)
    with s.client() as c, s.client() as d:
        d.ok(b'UID STORE 3,5,25 +FLAGS (\\Deleted)')
        d.ok(b'EXPUNGE')
        s.go(2)
        d.ok(b'NOOP')
        lines = c.ok(b'FETCH 2,4,6 (UID)')
        assert not [x for x in lines if b'EXPUNGE' in x], lines
        assert b'* 25 EXISTS' in lines
        got = [x for x in lines if b'FLAGS' not in x and b'FETCH' in x]
        assert got == [b'* 2 FETCH (UID 2)', b'* 4 FETCH (UID 4)', b'* 6 FETCH (UID 6)'], lines
        assert c.cmd(b'FETCH 3 (UID)') == ([], b'OK [EXPUNGEISSUED] Those messages are gone')
        assert c.cmd(b'COPY 3 INBOX')[1].startswith(b'NO [EXPUNGEISSUED]')
        assert c.ok(b'FETCH 3:4 (UID)') == [b'* 4 FETCH (UID 4)']
        lines = c.ok(b'STORE 6:7 +FLAGS (\\Flagged)')
        assert lines == [b'* 6 FETCH (FLAGS (\\Flagged))', b'* 7 FETCH (FLAGS (\\Flagged))'], lines
        flagged = [m.body for m in s.new.box().messages if m.flags == b'\\Flagged']
        assert flagged == [m.body for m in s.old.box().messages if m.uid in (6, 7)], flagged
        assert c.ok(b'SEARCH 3:8') == [b'* SEARCH 4 6 7 8']
        assert c.ok(b'UID SEARCH 3:8') == [b'* SEARCH 4 6 7 8']
        lines = c.ok(b'NOOP')
        assert lines[:3] == [b'* 25 EXPUNGE', b'* 5 EXPUNGE', b'* 3 EXPUNGE'], lines
        assert c.ok(b'SEARCH ALL') == [b'* SEARCH' + b''.join(b' %d' % n for n in range(1, 23))]
        assert uids(c) == uids(d) == [u for u in range(1, 26) if u not in (3, 5, 25)]


def test_expunge_told_behind_the_list(w):
    """Old lists a message that is gone, and says so only then: it is counted once."""
    s = Scene(w)
    with s.client() as c, s.client() as d:
        d.ok(b'UID STORE 3 +FLAGS (\\Deleted)')
        d.ok(b'EXPUNGE')
        late = []

        def noop(conn, tag, text):
            if len(conn.view) == 25 and w.logged().count('to=carry'):
                conn.send(tag + b' OK nothing yet\r\n')
            else:
                conn.usual(tag, text)

        def search(conn, tag, text):
            if not late and len(conn.view) == 25 and w.logged().count('to=carry'):
                late.append(text)
                conn.send(b'* SEARCH' + b''.join(b' %d' % m.uid for m in conn.view) + b'\r\n')
                conn.catch_up()
                conn.send(tag + b' OK done\r\n')
            else:
                conn.usual(tag, text)
        s.old.on(rb'NOOP', noop)
        s.old.on(rb'UID SEARCH', search)
        s.go(2)
        assert late
        c.ok(b'SEARCH ALL')
        assert c.ok(b'FETCH 2:4 (UID)') == [b'* 2 FETCH (UID 2)', b'* 4 FETCH (UID 4)']
        assert b'* 3 EXPUNGE' in c.ok(b'NOOP')
        assert uids(c) == [u for u in range(1, 26) if u != 3]


def test_mail_and_flags_of_others(w):
    """What old told nobody yet is told once the session is on new: new mail, and flags."""
    s = Scene(w)
    with s.client() as c:
        s.old.box().fill(2, 200)
        s.old.box().messages[6].flags = b'\\Flagged'
        s.go()
        lines = c.ok(b'NOOP')
        assert b'* 27 EXISTS' in lines and b'* 7 FETCH (UID 7 FLAGS (\\Flagged))' in lines, lines
        assert uids(c) == list(range(1, 28))
        s.same()


def test_open_literal(w):
    """A command of which a literal is due when the session is carried."""
    s = Scene(w)
    with s.client() as c:
        c.send(b'a STATUS {5}\r\n')
        assert c.line().startswith(b'+')
        s.go()
        c.send(b'INBOX (MESSAGES)\r\n')
        lines, reply = c.until(b'a')
        assert reply.startswith(b'OK') and [x for x in lines if x.startswith(b'* STATUS INBOX (MESSAGES 25')], (lines, reply)
        assert not [x for x in lines if b'EXPUNGE' in x]


def test_append_in_the_middle(w):
    """A message that is half sent to old is stored there, and is on new in the end."""
    s = Scene(w)
    with s.client() as c:
        c.send(b'a APPEND INBOX (\\Seen) "01-Feb-2021 10:00:00 +0000" {18+}\r\nSubject: x')
        s.free.set()
        w.logs('account=%s unit=INBOX from=seek to=hold' % s.user)
        assert not w.logged().count('event=session_carried account=%s ' % s.user)
        c.send(b'\r\n\r\nbody\r\n')
        lines, reply = c.until(b'a')
        assert reply.startswith(b'OK [APPENDUID 1111 26]'), reply
        s.go()
        c.ok(b'NOOP')
        assert uids(c) == list(range(1, 27))
        s.same()


def test_saved_search(w):
    """"$" means the same messages on new."""
    s = Scene(w)
    with s.client() as c:
        c.ok(b'SEARCH RETURN (SAVE) UID 4:6')
        s.go()
        assert s.old.saw(rb'UID SEARCH \$')
        assert s.new.saw(rb'SEARCH RETURN') == b'SEARCH RETURN (SAVE) UID 103:105'


def test_examined(w):
    s = Scene(w)
    with s.client(b'EXAMINE INBOX') as c:
        s.go()
        assert s.new.saw(rb'EXAMINE') == b'EXAMINE "INBOX"'
        c.ok(b'NOOP')
        assert uids(c) == list(range(1, 26))


def hang_up(script):
    for conn in script.conns:
        try:
            conn.wire.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it had ended


def at_last_look(s, what):
    """Calls what() once, when all stand still and the mover looks at old for the last time."""
    done = []

    def go(conn, tag, text):
        if not done and 'event=session_state' in s.w.logged() and s.w.logged().count('to=held') > s.held:
            done.append(text)
            what()
        else:
            conn.usual(tag, text)
    s.held = s.w.logged().count('to=held')
    s.old.on(rb'NOOP', go)


def in_the_end(s):
    """The next session finds all, once."""
    end = time.monotonic() + WAIT
    while s.w.unit(s.user)['state'] != 'moved':
        assert time.monotonic() < end
        with s.w.client(s.user) as c:
            c.cmd(b'SELECT INBOX')
        time.sleep(0.02)
    with s.w.client(s.user) as c:
        c.ok(b'SELECT INBOX')
        assert uids(c) == [m.uid for m in s.old.box().messages]
    s.same()


def test_old_dies_in_the_pause(w):
    s = Scene(w)
    with s.client() as c:
        c.ok(b'UID STORE 2 +FLAGS (\\Flagged)')
        at_last_look(s, lambda: hang_up(s.old))
        s.free.set()
        assert c.rest().startswith(b'* BYE [UNAVAILABLE]')
    in_the_end(s)


def test_mover_loses_old_in_the_pause(w):
    """The session goes on where it was, and is carried when the copy has been made again."""
    s = Scene(w)
    with s.client() as c:
        at_last_look(s, lambda: hang_up_last(s.old))
        s.go()
        c.ok(b'NOOP')
        assert uids(c) == list(range(1, 26)) and w.logged().count('event=copy_restarted account=%s' % s.user) == 1
        s.same()


def hang_up_last(script):
    """The connection that asked last."""
    script.conns[-1].wire.sock.shutdown(socket.SHUT_RDWR)


def test_new_dies_at_the_switch(w):
    """New says nothing to the SELECT of the session that is carried, and goes away."""
    s = Scene(w)
    with s.client() as c:
        def gone(conn, tag, text):
            if s.w.unit(s.user)['state'] == 'moved':
                hang_up(s.new)
            else:
                conn.usual(tag, text)
        s.new.on(rb'SELECT', gone)
        s.free.set()
        assert b'* BYE [UNAVAILABLE]' in c.rest()
    s.new.rules.pop(0)
    in_the_end(s)


def test_new_refuses_at_the_switch(w):
    s = Scene(w)
    with s.client() as c:
        s.new.on(rb'SELECT', lambda conn, tag, text: conn.send(tag + b' NO [UNAVAILABLE] not now\r\n')
                 if s.w.unit(s.user)['state'] == 'moved' else conn.usual(tag, text))
        s.free.set()
        assert b'* BYE [UNAVAILABLE]' in c.rest()
    s.new.rules.pop(0)
    in_the_end(s)


def test_a_slow_session_does_not_stop_the_others(w):
    """One is in the middle of an APPEND for long: the gate opens again for the other one."""
    s = Scene(w)
    with s.client() as c, s.client() as d:
        d.send(b'a APPEND INBOX () {4+}\r\nab')
        s.free.set()
        w.logs('event=switch_postponed account=%s ' % s.user)
        c.ok(b'UID STORE 9 +FLAGS (\\Flagged)')
        d.send(b'cd\r\n')
        assert d.until(b'a')[1].startswith(b'OK [APPENDUID 1111 26]')
        s.go(2)
        c.ok(b'NOOP')
        assert uids(c) == list(range(1, 27))
        s.same()


def test_deleted_by_another_session(w):
    """Who has it selected on old hears BYE; it is gone on new, and untouched on old."""
    s = Scene(w)
    s.user, s.old, s.new = w.person('box')
    s.old.box('INBOX.box').fill(25)
    s.new.on(rb'APPEND', s.wait)
    with s.client(b'SELECT INBOX.box') as c, w.client(s.user) as d:
        d.ok(b'DELETE INBOX.box')
        c.send(b'n NOOP\r\n')
        assert c.rest().startswith(b'* BYE')
        assert d.cmd(b'SELECT INBOX.box')[1].startswith(b'NO')
    assert 'box' not in s.new.mail and len(s.old.box('INBOX.box').messages) == 25
    s.free.set()


def test_renamed_by_another_session(w):
    s = Scene(w)
    s.user, s.old, s.new = w.person('box')
    s.old.box('INBOX.box').fill(25)
    s.new.on(rb'APPEND', s.wait)
    with s.client(b'SELECT INBOX.box') as c, w.client(s.user) as d:
        d.ok(b'RENAME INBOX.box INBOX.other')
        c.ok(b'UID STORE 9 +FLAGS (\\Flagged)')
        d.ok(b'SELECT INBOX.other')
        s.free.set()
        end = time.monotonic() + WAIT
        while w.unit(s.user, 'INBOX.other')['state'] != 'moved':
            assert time.monotonic() < end
            d.ok(b'NOOP')
        for x in (c, d):
            x.ok(b'NOOP')
            assert uids(x) == list(range(1, 26))
    assert [m.flags for m in s.new.box('other').messages][8] == b'\\Flagged'


def test_copies_into_it(w):
    """COPY between two mailboxes that are both on old, and from one that has moved into one that has not."""
    s = Scene(w)
    user, old, new = w.person('box', 'moved')
    old.box('INBOX.box').fill(25)
    old.box().fill(3, 100)
    s.user, s.old, s.new = user, old, new
    new.on(rb'APPEND "?box', s.wait)
    with w.client(user) as c, s.client(b'SELECT INBOX.box') as d:
        c.ok(b'SELECT INBOX')
        w.logs('event=moved account=%s unit=INBOX ' % user)
        c.ok(b'SELECT INBOX')
        _, reply = c.cmd(b'UID COPY 1:2 INBOX.box')
        assert reply.startswith(b'OK [COPYUID 1111 1:2 26:27]'), (reply, [m.uid for m in new.box().messages])
        _, reply = d.cmd(b'UID COPY 5 INBOX.box')
        assert reply.startswith(b'OK'), reply
        assert len(old.box('INBOX.box').messages) == 28, reply
        s.free.set()
        w.logs('mailbox=INBOX.box gone=')
        d.ok(b'NOOP')
        got = uids(d)
        assert got == list(range(1, 29)), (got, [m.uid for m in new.box('box').messages], [m.uid for m in old.box('INBOX.box').messages])
    got = new.box('box').bodies(), old.box('INBOX.box').bodies()
    assert got[0] == got[1], (got[0][24:], got[1][24:])


if __name__ == '__main__':
    sys.exit(run(globals(), Live, sys.argv[1:], __doc__))
