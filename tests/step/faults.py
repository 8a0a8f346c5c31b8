#!/usr/bin/env python3
"""Copies between scripted hosts that stop in the middle, say no for now, lie, and refuse for odd reasons.

Run in the build folder (make check does), or with --bin DIR [-k WORD].
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from boxes import MailServed  # noqa: E402
from move import Moving, check, once, person, refuse, says, select, until_moved  # noqa: E402
from runner import run  # noqa: E402


def test_host_stops_within_a_line(w):
    """Half a line, half a literal, and then nothing: given up after the timeout, like one that says nothing at all."""
    slow = Moving(w.binary, rest=1, extra=' host_timeout_seconds = 1 wait = 0')
    try:
        for host, pattern in (('old', rb'EXAMINE'), ('old', rb'FETCH \S+ \(UID BODY'), ('new', rb'APPEND'), ('new', rb'SELECT')):
            user, old, new = person(slow)
            half = [b'* 5 FETCH (UID 5 BODY[] {400}\r\nabc'] if b'BODY' in pattern else [b'* OK [UIDVAL', b'%T O']
            for text in half:
                once(old if host == 'old' else new, pattern, says(text))
            until_moved(slow, user, 25)
            check(slow, user, old, new)
            assert 'no answer for 1 seconds' in slow.logged()
    finally:
        slow.stop()


def refused_for_now(w, script, pattern, codes):
    """NO with each of these codes, and BYE: nothing is left behind, nothing doubled, and the reason is told."""
    for code in codes:
        user, old, new = person(w)
        told = []
        reply = b'* BYE %s\r\n' % code if code == b'so long' else b'%T NO [' + code + b'] not now\r\n'
        once(old if script == 'old' else new, pattern, lambda conn, tag, text: (told.append(1), says(reply)(conn, tag, text)))
        until_moved(w, user)
        check(w, user, old, new)
        assert told, (script, pattern, code)


CODES = (b'OVERQUOTA', b'LIMIT', b'INUSE', b'THROTTLED', b'UNAVAILABLE', b'SERVERBUG', b'so long')


def test_codes_of_old(w):
    for pattern in (rb'EXAMINE', rb'FETCH \S+ \(UID FLAGS INTERNALDATE', rb'FETCH \S+ \(UID BODY'):
        refused_for_now(w, 'old', pattern, CODES)


def test_codes_of_new(w):
    for pattern in (rb'STATUS', rb'SELECT', rb'UID FETCH'):
        refused_for_now(w, 'new', pattern, CODES)
    refused_for_now(w, 'new', rb'APPEND', [c for c in CODES if c != b'LIMIT'])  # that one speaks of the message


def test_size_that_lies(w):
    """RFC822.SIZE of the old host counts for nothing, of the new one neither."""
    user, old, new = person(w)
    for script in (old, new):
        script.on(rb'(UID )?FETCH .*RFC822.SIZE', lambda conn, tag, text: conn.lie(tag, text))
    try:
        MailServed.lie = lie
        select(w, user)
        check(w, user, old, new)
    finally:
        del MailServed.lie


def lie(conn, tag, text):
    real = conn.send
    conn.send = lambda data: real(re.sub(rb'RFC822.SIZE \d+', b'RFC822.SIZE 3', data))
    try:
        conn.usual(tag, text)
    finally:
        conn.send = real


def test_dates_before_1970(w):
    """Such an internal date goes over as it is; one that new refuses for it is left behind, with the reason."""
    user, old, new = person(w, 3)
    ancient = b'"01-Jul-1950 12:00:00 +0000"'
    old.box().add(b'Subject: old\r\n\r\nancient\r\n', date=ancient)
    old.box().add(b'Subject: new\r\n\r\nlast\r\n')
    select(w, user)
    check(w, user, old, new)
    assert new.box().messages[3].date == ancient, new.box().messages[3].date
    user, old, new = person(w, 3)
    old.box().add(b'Subject: old\r\n\r\nancient\r\n', date=ancient)
    old.box().add(b'Subject: new\r\n\r\nlast\r\n')
    refuse(new, [b'-1950 '], b'%T NO bad date\r\n')
    select(w, user)
    bodies = old.box().bodies()
    check(w, user, old, new, left=1, bodies=bodies[:3] + bodies[4:])


def test_system_flags_that_nobody_knows(w):
    """They go no further, the message does."""
    user, old, new = person(w, 5)
    old.box().messages[2].flags = b'\\Flagged \\Odd $key'
    select(w, user)
    check(w, user, old, new)
    assert sorted(new.box().messages[2].flags.split()) == [b'$key', b'\\Flagged'], new.box().messages[2].flags


def test_uids_that_do_not_last(w):
    """UIDNOTSTICKY on new: no map could be kept, so the mailbox stays, and the reason is told."""
    user, old, new = person(w)
    new.on(rb'SELECT', lambda conn, tag, text: (conn.send(b'* NO [UIDNOTSTICKY] mine do not last\r\n'), conn.usual(tag, text)))
    select(w, user, ok=None)
    end = time.monotonic() + 10
    while 'UIDNOTSTICKY' not in w.unit(user)['reason']:
        assert time.monotonic() < end, w.unit(user)
        time.sleep(0.05)
    assert w.unit(user)['state'] != 'moved', w.unit(user)
    new.rules.clear()
    until_moved(w, user)
    check(w, user, old, new)


if __name__ == '__main__':
    sys.exit(run(globals(), Moving, sys.argv[1:], __doc__))
