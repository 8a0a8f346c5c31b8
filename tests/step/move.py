#!/usr/bin/env python3
"""Copies between scripted hosts that misbehave: whatever they do, no message is lost or doubled, and the counts add up.

Run in the build folder (make check does), or with --bin DIR [-k WORD].
"""

import json
import os
import random
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from boxes import MailHost  # noqa: E402
from front import NEW, World  # noqa: E402
from peers import Gone  # noqa: E402
from runner import run  # noqa: E402

MULTI = NEW + b' MULTIAPPEND'
SEEDS = int(os.environ.get('STORM_SEEDS', '8'))
# What the old host may ever be asked; SELECT by a session that it serves since a copy failed.
ALLOWED = re.compile(rb'(SELECT|AUTHENTICATE|LOGIN|LOGOUT|CAPABILITY|ID|NAMESPACE|LIST|LSUB|EXAMINE|STATUS|NOOP|FETCH|UID FETCH|UID SEARCH (RETURN \(ALL\) )?ALL|CHECK)\b',
                     re.I)


def more(batch, rest, extra=''):
    return 'copy { uid_headroom = 1000 settle_seconds = 0 retry_seconds = %d batch_messages = %d sweep = no%s }\n' % (rest, batch, extra)


class Moving(World):
    def __init__(self, binary, caps=MULTI, batch=10, rest=0, extra=''):
        super().__init__(binary, caps, host=MailHost, more=more(batch, rest, extra))
        self.binary = binary

    def account(self, user):
        ctl = os.path.join(os.path.dirname(self.binary), 'wherryctl')
        out = subprocess.run([ctl, '-c', self.conf, '--json', 'account', user], capture_output=True, timeout=20)
        return json.loads(out.stdout)

    def unit(self, user, name='INBOX'):
        return [x for x in self.account(user)['mailboxes'] if x['name'] == name][0]


def person(w, count=25):
    user, old, new = w.person()
    old.box().fill(count)
    new.box().next = 100
    return user, old, new


def select(w, user, ok=True):  # None: either, since the copy began at the sign-in already
    """Whether it is moved then, else why not: the old host serves it."""
    with w.client(user) as c:
        lines, reply = c.cmd(b'SELECT INBOX')
    assert reply.startswith(b'OK'), reply
    u = w.unit(user)
    assert ok is None or (u['state'] == 'moved') == ok, u
    return b'OK' if u['state'] == 'moved' else b'NO [UNAVAILABLE] ' + u['reason'].encode()


def until(w, what, check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, 'waited for %s:\n%s' % (what, w.logged()[-3000:])
        time.sleep(0.05)


def until_moved(w, user, seconds=20):
    end = time.monotonic() + seconds
    while True:
        try:
            with w.client() as c:
                if c.cmd(b'LOGIN %s pw' % user.encode())[1].startswith(b'OK') and \
                        c.cmd(b'SELECT INBOX')[1].startswith(b'OK') and w.unit(user)['state'] == 'moved':
                    return
        except Gone:
            pass  # the session's own connection to a host was hit
        assert time.monotonic() < end, 'it never moves:\n' + w.logged()[-3000:]
        time.sleep(0.05)


def check(w, user, old, new, left=0, vanished=0, bodies=None):
    """Once each, in order, and counted."""
    want = old.box().bodies() if bodies is None else bodies
    got = new.box().bodies()
    assert got == want, 'on new: %r\nwanted: %r' % (got, want)
    for m in [m for m in old.seen if not ALLOWED.match(m)]:
        raise AssertionError('the old host was asked %r' % m)
    counted(w, user, len(want), left, vanished)


def counted(w, user, moved, left, vanished):
    u = w.unit(user)
    got = (u['found'], u['moved'], u['left_behind'], u['vanished'])
    assert got == (moved + left + vanished, moved, left, vanished), (got, u)
    assert u['state'] == 'moved', u


def once(script, pattern, what, times=1):
    """A rule that counts only a few times; what is (connection, tag, text) -> True when it answered."""
    rest = [times]

    def go(conn, tag, text):
        if rest[0] > 0:
            rest[0] -= 1
            what(conn, tag, text)
        else:
            conn.usual(tag, text)
    script.on(pattern, go)


def hang_up(conn, tag, text):
    conn.wire.close()


def says(reply):
    return lambda conn, tag, text: conn.send(reply.replace(b'%T', tag))


def test_plain(w):
    user, old, new = person(w)
    select(w, user)
    check(w, user, old, new)


def test_listing_for_the_comparison_refused(w):
    """What was not listed is not gone."""
    for reply in (b'%T NO [UNAVAILABLE] not now\r\n', b'%T NO later\r\n', b'%T BAD what\r\n'):
        user, old, new = person(w)
        once(old, rb'UID FETCH \S+ \(UID FLAGS\)', says(reply))
        select(w, user, ok=None)
        assert len(new.box().messages) == 25 and not new.rules, new.box().messages
        assert not [x for x in new.seen if x.startswith(b'UID STORE')]
        until_moved(w, user)
        check(w, user, old, new)


def test_listing_for_the_comparison_incomplete(w):
    """OK, and half of the messages are missing."""
    user, old, new = person(w)
    once(old, rb'UID FETCH \S+ \(UID FLAGS\)',
         lambda conn, tag, text: conn.send(b'* 1 FETCH (UID 1 FLAGS ())\r\n' + tag + b' OK done\r\n'))
    select(w, user, ok=None)
    assert len(new.box().messages) == 25
    until_moved(w, user)
    check(w, user, old, new)


def test_new_lists_too_little(w):
    """OK, and not a word of what it stored: looked at again, before anything is taken for lost."""
    user, old, new = person(w)
    once(new, rb'UID FETCH \S+ \(UID FLAGS', says(b'%T OK done\r\n'))
    select(w, user)
    check(w, user, old, new)


def test_lost_on_new(w):
    """What is not there in spite of an OK goes to the spool."""
    user, old, new = person(w)

    def lose(conn, tag, text):
        del new.box().messages[4]
        conn.usual(tag, text)
    once(new, rb'SELECT', lose)
    select(w, user)
    bodies = old.box().bodies()
    check(w, user, old, new, left=1, bodies=bodies[:4] + bodies[5:])


def test_new_does_not_list(w):
    user, old, new = person(w)
    once(new, rb'UID FETCH \S+ \(UID FLAGS', says(b'%T NO [SERVERBUG] index is gone\r\n'))
    select(w, user, ok=None)
    until_moved(w, user)
    check(w, user, old, new)


def test_expunged_on_old_then_new_goes_away(w):
    """Counted once, however often the comparison is repeated."""
    user, old, new = person(w)
    bodies = old.box().bodies()

    def expunge(conn, tag, text):
        del old.box().messages[3:5]
        conn.usual(tag, text)
    once(old, rb'NOOP', expunge)
    once(new, rb'UID EXPUNGE', hang_up)
    once(new, rb'UID STORE', hang_up)
    until_moved(w, user)
    check(w, user, old, new, vanished=2)
    assert new.box().bodies() == bodies[:3] + bodies[5:]


def test_listing_refused(w):
    """No end without an end."""
    for reply in (b'%T NO no\r\n', b'%T OK nothing to tell\r\n'):
        user, old, new = person(w)
        once(old, rb'FETCH \S+ \(UID FLAGS INTERNALDATE', says(reply), 1000000)
        select(w, user, ok=False)
        assert len(old.seen) < 100, len(old.seen)
        old.rules.clear()
        until_moved(w, user)
        check(w, user, old, new)


def test_huge_exists(w):
    user, old, new = person(w, 0)
    old.on(rb'EXAMINE', b'* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 1111] .\r\n* OK [UIDNEXT 4294967295] .\r\n%T OK .\r\n')
    select(w, user, ok=False)
    assert len(old.seen) < 100, len(old.seen)


def test_date_that_is_none(w):
    """A message whose date cannot be read, at the end of the mailbox."""
    for count in (4, 25):
        user, old, new = person(w, count)
        old.box().add(b'Subject: odd\r\n\r\nodd\r\n', date=b'"someday"')
        select(w, user)
        check(w, user, old, new, left=1, bodies=old.box().bodies()[:-1])


def test_body_that_never_comes(w):
    for reply in (b'%T NO cannot read it\r\n', b'* 5 FETCH (UID 5 BODY[] NIL)\r\n%T OK done\r\n'):
        user, old, new = person(w)

        def skip(conn, tag, text):
            hidden = old.box().messages[4].body
            old.box().messages[4].body = b'HIDDEN'
            real = conn.send
            conn.send = lambda data: None if b'HIDDEN' in data else real(data)
            conn.usual(tag, text)
            conn.send = real
            old.box().messages[4].body = hidden
        old.on(rb'FETCH \S+ \(UID BODY.PEEK\[\]\)', skip)
        old.on(rb'UID FETCH 5 \(UID BODY.PEEK\[\]\)', reply)
        select(w, user)
        bodies = old.box().bodies()
        check(w, user, old, new, left=1, bodies=bodies[:4] + bodies[5:])


def test_bodies_not_now(w):
    user, old, new = person(w)
    once(old, rb'FETCH \S+ \(UID BODY.PEEK\[\]\)', says(b'%T NO [UNAVAILABLE] busy\r\n'))
    select(w, user, ok=None)
    until_moved(w, user)
    check(w, user, old, new)


def test_bodies_out_of_order(w):
    user, old, new = person(w)

    def backwards(conn, tag, text):
        out, real = [], conn.send
        conn.send = out.append
        with conn.script.lock:
            conn.fetch(text[6:], False)
        conn.send = real
        conn.send(b''.join(reversed(out)) + tag + b' OK done\r\n')
    old.on(rb'FETCH \S+ \(UID BODY.PEEK\[\]\)', backwards)
    select(w, user)
    check(w, user, old, new)


def refuse(new, texts, reply=b'%T NO I do not like it\r\n'):
    def go(conn, tag, text):
        if any(x in text for x in texts):
            conn.send(reply.replace(b'%T', tag))
        else:
            conn.usual(tag, text)
    new.on(rb'APPEND', go)


def test_refused_and_then_lost(w):
    """A message is in the spool, its batch not settled yet, when the connection breaks: counted once."""
    user, old, new = person(w)
    refuse(new, [b'body 3\r', b'body 7\r'])
    calls = []

    def hang_up_later(conn, tag, text):
        calls.append(text)
        if len(calls) == 2:
            conn.wire.close()
        else:
            conn.usual(tag, text)
    old.on(rb'FETCH 4 \(UID BODY.PEEK\[\]\)', lambda conn, tag, text: (calls.append(text), conn.usual(tag, text)))
    old.on(rb'FETCH 8 \(UID BODY.PEEK\[\]\)', hang_up_later)
    until_moved(w, user)
    bodies = old.box().bodies()
    check(w, user, old, new, left=2, bodies=bodies[:3] + bodies[4:7] + bodies[8:])


def test_refused_at_first_only(w):
    """What went to the spool and is taken after all is not counted twice."""
    user, old, new = person(w)
    lost = []

    def go(conn, tag, text):
        if not lost and b'body 3\r' in text:
            conn.send(tag + b' NO not this one\r\n')
        else:
            conn.usual(tag, text)
    new.on(rb'APPEND', go)

    def spooled(conn, tag, text):
        """After it was read for the spool, before anything is settled."""
        conn.usual(tag, text)
        if not lost and w.unit(user)['left_behind'] == 0 and 'event=left_behind' not in w.logged():
            lost.append(1)
            time.sleep(0.3)
            conn.wire.close()
    old.on(rb'FETCH 4 \(UID BODY.PEEK\[\]\)', spooled)
    until_moved(w, user)
    u = w.unit(user)
    assert u['found'] == 25 == u['moved'] + u['left_behind'] + u['vanished'], u
    assert len(new.box().messages) == u['moved'], (u, new.box().bodies())


def test_quota_without_a_code(w):
    user, old, new = person(w)
    refuse(new, [b'body'], b'%T NO [ALERT] You exceeded your mail quota.\r\n')
    select(w, user, ok=False)
    assert w.unit(user)['left_behind'] == 0
    new.rules.clear()
    until_moved(w, user)
    check(w, user, old, new)


def test_everything_refused(w):
    """Something is wrong with the host, not with the messages."""
    user, old, new = person(w, 120)
    refuse(new, [b'body'])
    select(w, user, ok=False)
    assert w.unit(user)['state'] != 'moved'
    new.rules.clear()
    until_moved(w, user)
    check(w, user, old, new)


def test_refused_in_the_window(w):
    """Without MULTIAPPEND, with several APPENDs on their way."""
    plain = Moving(w.binary, NEW)
    try:
        user, old, new = person(plain)
        refuse(new, [b'body 3\r', b'body 4\r', b'body 24\r'])
        select(plain, user)
        bodies = old.box().bodies()
        check(plain, user, old, new, left=3, bodies=bodies[:3] + bodies[5:24])
    finally:
        plain.stop()


def test_hole_in_the_window(w):
    """One of several APPENDs is lost with the connection, those behind it are stored: order is restored, nothing stays twice,
    also when the connection breaks again before they are taken away."""
    plain = Moving(w.binary, NEW)
    try:
        for breaks in (None, rb'UID STORE', rb'UID EXPUNGE'):
            user, old, new = person(plain)
            count = [0]

            def append(conn, tag, text):
                count[0] += 1
                if count[0] == 4:
                    return  # not stored and not answered
                with conn.script.lock:
                    conn.mail_append(tag, text)
                if count[0] == 7:
                    conn.wire.close()
                elif count[0] > 7:
                    new.rules[:] = [r for r in new.rules if r[1] is not append]
                    conn.send(tag + b' OK [APPENDUID %d %d] .\r\n' % (new.box().validity, new.box().next - 1))
            new.on(rb'APPEND', append)
            if breaks:
                once(new, breaks, hang_up)
            until_moved(plain, user)
            check(plain, user, old, new)
    finally:
        plain.stop()


def test_synchronising_literals(w):
    slow = Moving(w.binary, b'IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS NAMESPACE UNSELECT')
    try:
        user, old, new = person(slow)
        old.box().add(b'')
        refuse(new, [b'body 3\r'])
        new.on(rb'APPEND .*\{0\}$', lambda conn, tag, text: conn.send(tag + b' NO nothing in it\r\n'))
        select(slow, user)
        bodies = old.box().bodies()
        check(slow, user, old, new, left=2, bodies=bodies[:3] + bodies[4:25])
    finally:
        slow.stop()


def test_date_altered_by_new(w):
    """After a lost connection messages are known again even where new keeps other dates."""
    user, old, new = person(w)
    real = new.box().add
    new.box().add = lambda body, flags=b'', date=None, uid=None: real(body, flags, b'"01-Jan-1999 00:00:00 +0000"', uid)
    calls = [0]

    def lose_reply(conn, tag, text):
        calls[0] += 1
        if calls[0] == 2:
            with conn.script.lock:
                conn.mail_append(tag, text)
            conn.wire.close()
        else:
            conn.usual(tag, text)
    new.on(rb'APPEND', lose_reply)
    until_moved(w, user)
    check(w, user, old, new)


def break_copy(w, new):
    """The connection breaks for good at the third APPEND, until the rules are cleared."""
    calls = [0]

    def go(conn, tag, text):
        calls[0] += 1
        if calls[0] > 2:
            conn.wire.close()
        else:
            conn.usual(tag, text)
    new.on(rb'APPEND', go)


def test_old_uidvalidity_changes(w):
    user, old, new = person(w)
    new.box().add(b'Subject: foreign\r\n\r\nfirst\r\n')
    break_copy(w, new)
    select(w, user, ok=False)
    assert len(new.box().messages) > 10
    new.rules.clear()
    box = old.box()
    box.validity += 1
    kept = box.messages[2:]
    box.messages, box.next = [], 1000
    for m in kept:
        box.add(m.body, m.flags, m.date)
    once(new, rb'UID EXPUNGE', hang_up)
    until_moved(w, user)
    got = new.box().bodies()
    assert got == box.bodies() + [b'Subject: foreign\r\n\r\nfirst\r\n'] or \
        got == [b'Subject: foreign\r\n\r\nfirst\r\n'] + box.bodies(), got
    counted(w, user, 23, 0, 0)


def test_new_uidvalidity_changes(w):
    """Numbered anew, with what is in it: all of it is known again. Made anew and empty: all is copied again."""
    for empty in (False, True):
        user, old, new = person(w)
        break_copy(w, new)
        select(w, user, ok=False)
        assert len(new.box().messages) >= 20
        new.rules.clear()
        box = new.box()
        messages, box.messages, box.next = box.messages, [], 500
        box.validity += 1
        for m in [] if empty else messages:
            box.add(m.body, m.flags, m.date)
        seen = len(new.seen)
        until_moved(w, user)
        check(w, user, old, new)
        again = b''.join(x for x in new.seen[seen:] if x.startswith(b'APPEND'))
        assert (b'body 0\r' in again) == empty, again


def test_flags_change_at_the_end(w):
    """Flags that change on old after they were compared are compared again."""
    user, old, new = person(w)

    def flagged(conn, tag, text):
        if new.saw(rb'UID FETCH \S+ \(UID FLAGS') and old.box().messages[2].flags == b'':
            old.box().messages[2].flags = b'\\Flagged'
            conn.send(b'* 3 FETCH (FLAGS (\\Flagged))\r\n')
        conn.usual(tag, text)
    old.on(rb'UID FETCH', lambda conn, tag, text: (conn.usual(tag, text), old.on(rb'NOOP', flagged)))
    select(w, user)
    check(w, user, old, new)
    assert new.box().messages[2].flags == b'\\Flagged', new.box().messages[2].flags


def test_foreign_goes_behind(w):
    user, old, new = person(w)
    new.box().add(b'Subject: mx\r\n\r\nbefore\r\n')
    calls = [0]

    def mixed(conn, tag, text):
        conn.usual(tag, text)
        calls[0] += 1
        if calls[0] == 1:
            new.box().add(b'Subject: mx\r\n\r\nbetween\r\n')
    new.on(rb'APPEND', mixed)
    select(w, user)
    got = new.box().bodies()
    assert [x for x in got if b'body' in x] == old.box().bodies(), got
    assert b'between' in got[-1] and len(got) == 27, got


def test_password_echoed(w):
    """A host that repeats what it was told."""
    user, old, new = person(w)
    for reply in (b'%T BAD what is %C\r\n', b'%T NO no such thing as s3cret-%C here\r\n', b'* BYE not with %C\r\n'):
        w.new.echo = reply
        with w.client() as c:
            assert not c.cmd(b'LOGIN %s s3cret-pw' % user.encode())[1].startswith(b'OK')
    w.new.echo = None
    import base64
    said = base64.b64encode(b'\0%s\0s3cret-pw' % user.encode()).decode()
    assert said not in w.logged() and 's3cret-pw' not in w.logged()


def test_deleted_while_it_is_copied(w):
    user, old, new = w.person('box')
    old.box('INBOX.box').fill(25)
    held = []

    def hold(conn, tag, text):
        if b'"box"' in text:
            held.append(text)
            end = time.monotonic() + 5
            while len(held) < 2 and time.monotonic() < end:
                time.sleep(0.02)
        conn.usual(tag, text)
    new.on(rb'APPEND', hold)
    with w.client(user) as c, w.client(user) as d:
        c.send(b's SELECT INBOX.box\r\n')
        end = time.monotonic() + 10
        while not held:
            assert time.monotonic() < end
            time.sleep(0.02)
        d.ok(b'DELETE INBOX.box')
        held.append(None)
        time.sleep(0.2)  # the host is done with what it had begun
        assert not c.until(b's')[1].startswith(b'OK')
        d.ok(b'CREATE INBOX.box')
        lines = d.ok(b'SELECT INBOX.box')
        assert b'* OK [UIDVALIDITY 1111] UIDs valid' not in lines, lines
        assert b'* 0 EXISTS' in lines, lines


def test_retries_rest_longer(w):
    """1, 2, 4 … seconds; a touch in between is answered at once with the reason."""
    slow = Moving(w.binary, rest=1)
    try:
        user, old, new = person(slow)
        refuse(new, [b'body'], b'%T NO [OVERQUOTA] full\r\n')
        end = time.monotonic() + 5.5
        while time.monotonic() < end:
            assert b'OVERQUOTA' in select(slow, user, ok=False)
            time.sleep(0.2)
        failed = slow.logged().count('event=copy_failed')
        assert failed == 3, failed
    finally:
        slow.stop()


def test_appenduid_never_told(w):
    user, old, new = person(w)

    def silent(conn, tag, text):
        with conn.script.lock:
            conn.mail_append(tag, text)
        conn.send(tag + b' OK stored somewhere\r\n')
    new.on(rb'APPEND', silent)
    select(w, user)
    check(w, user, old, new)


def test_without_uidplus(w):
    """A message that goes from old in the middle cannot be taken away; the mailbox moves all the same."""
    plain = Moving(w.binary, b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ NAMESPACE UNSELECT')
    try:
        user, old, new = person(plain)
        bodies = old.box().bodies()

        def expunge(conn, tag, text):
            del old.box().messages[3]
            conn.usual(tag, text)
        once(old, rb'NOOP', expunge)
        select(plain, user)
        check(plain, user, old, new, bodies=bodies)
    finally:
        plain.stop()


def test_uids_near_their_end(w):
    for last in (4294960000, 4294967295):
        user, old, new = person(w)
        box = old.box()
        box.add(b'Subject: last\r\n\r\nlast\r\n', uid=last)
        box.next = min(box.next, 4294967295)
        with w.client(user) as c:
            lines = c.ok(b'SELECT INBOX')
            assert b'* OK [UIDVALIDITY 2222] UIDs valid' in lines, lines
            assert [x for x in c.ok(b'FETCH 1 (UID)')] == [b'* 1 FETCH (UID 100)'], c.ok(b'FETCH 1 (UID)')
        check(w, user, old, new)


def test_renamed_while_it_is_copied(w):
    user, old, new = w.person('box')
    old.box('INBOX.box').fill(25)
    held = []

    def hold(conn, tag, text):
        if not held:
            held.append(text)
            end = time.monotonic() + 5
            while len(held) < 2 and time.monotonic() < end:
                time.sleep(0.02)
        conn.usual(tag, text)
    with w.client(user) as c, w.client(user) as d:
        c.ok(b'SELECT INBOX')
        new.on(rb'APPEND', hold)
        c.send(b's SELECT INBOX.box\r\n')
        end = time.monotonic() + 10
        while not held:
            assert time.monotonic() < end
            time.sleep(0.02)
        d.ok(b'RENAME INBOX.box INBOX.other')
        held.append(None)
        c.until(b's')
        d.ok(b'SELECT INBOX.other')
    assert new.box('other').bodies() == old.box('INBOX.box').bodies()
    u = w.unit(user, 'INBOX.other')
    assert (u['found'], u['moved'], u['vanished']) == (25, 25, 0), u


def test_folder_made_a_mailbox(w):
    user, old, new = w.person()

    def listed(conn, tag, text):
        conn.send(b'* LIST (\\HasNoChildren) "." INBOX\r\n* LIST (\\Noselect) "." "INBOX.dir"\r\n' + tag + b' OK .\r\n')
    old.on(rb'LIST "" "\*"', listed)
    with w.client(user) as c:
        c.ok(b'CREATE INBOX.dir')
        lines = c.ok(b'SELECT INBOX.dir')
        assert b'* 0 EXISTS' in lines
    with w.client(user) as c:
        c.ok(b'SELECT INBOX.dir')
    assert not [x for x in old.seen if b'dir' in x], old.seen


def storm(w, seed, faults=10, refused=()):
    """Anything goes wrong at any place, a few times."""
    r = random.Random(seed)
    user, old, new = person(w, r.randint(5, 60))
    left = [faults]
    box, first = old.box(), len(old.box().messages)
    gone = []

    def old_maybe(conn, tag, text):
        if left[0] > 0 and r.random() < 0.15 and re.match(rb'NOOP|FETCH .*BODY', text) and box.messages:
            left[0] -= 1
            what = r.randint(0, 2)
            m = r.choice(box.messages)
            if what == 0:
                box.messages.remove(m)
                gone.append(m)
            elif what == 1:
                m.flags = b'\\Flagged'
                conn.send(b'* %d FETCH (FLAGS (\\Flagged))\r\n' % (conn.view.index(m) + 1) if m in conn.view else b'')
            else:
                box.fill(1, 1000 + box.next)
        maybe(conn, tag, text)

    def maybe(conn, tag, text):
        fate = r.random()
        if text.startswith(b'LOGOUT') or left[0] <= 0 or fate > 0.12:
            return conn.usual(tag, text)
        left[0] -= 1
        if fate < 0.04:
            conn.wire.close()
        elif fate < 0.06:
            conn.send(tag + b' NO [UNAVAILABLE] not now\r\n')
        elif fate < 0.10:
            real, conn.send = conn.send, lambda data: None
            conn.usual(tag, text)
            conn.send = real
            conn.wire.close()
        else:  # half of the answer
            out, real = [], conn.send
            conn.send = out.append
            conn.usual(tag, text)
            whole = b''.join(out)
            conn.send = real
            conn.send(whole[:r.randint(0, len(whole))])
            conn.wire.close()

    def new_maybe(conn, tag, text):
        if any(x in text for x in refused):
            conn.send(tag + b' NO not such things\r\n')
        else:
            maybe(conn, tag, text)
    old.on(rb'', old_maybe)
    new.on(rb'', new_maybe)
    until_moved(w, user, 40)
    u = w.unit(user)
    bad = [m for m in box.messages if any(x in m.body for x in refused)]
    good = [m for m in box.messages if m not in bad]
    there = new.box().bodies()
    # What went away just before the switch may be there still; that is all.
    extra = [x for x in there if x not in [m.body for m in good]]
    assert all(x in [m.body for m in gone] for x in extra), extra
    assert [x for x in there if x not in extra] == [m.body for m in good], (there, len(gone))
    assert u['found'] == u['moved'] + u['left_behind'] + u['vanished'], u
    assert u['moved'] == len(there) and u['left_behind'] >= len(bad), (u, len(there), len(bad))
    assert u['found'] <= first + box.next and u['vanished'] <= len(gone), (u, len(gone))
    flags = {m.body: m.flags for m in new.box().messages}
    assert all(flags[m.body] == m.flags for m in good), 'flags differ'


def test_storms(w):
    plain = Moving(w.binary, NEW)
    try:
        for seed in range(SEEDS):
            for world in (w, plain):
                try:
                    storm(world, seed, refused=[b'body 3\r', b'body 17\r'] if seed % 2 else ())
                except AssertionError as e:
                    raise AssertionError('seed %d, %s: %s' % (seed, 'one by one' if world is plain else 'many', e))
    finally:
        plain.stop()


if __name__ == '__main__':
    sys.exit(run(globals(), Moving, sys.argv[1:], __doc__))
