"""Part of contrib/bench: a large mailbox that moves while people work in it.

The first SELECT, then sessions that idle, sessions that fetch all the time, and one that fetches, flags, appends and expunges
and believes every word (tests/func/wharf/busy.py), until a while after the switch. In the end every message is compared.
"""

import datetime
import os
import random
import re
import statistics
import threading
import time

from wharf import mail, snapshot
from wharf.busy import Busy, Truth
from wharf.daemon import Wherryd
from wharf.servers import MAIL_ID

USER = 'live'
IDLE, FETCH = 2, 2
FLAGS = ('S', '', 'RS', 'FS')


def fill(b, n):
    """Small messages, as files."""
    with b.old.connect(USER) as c:
        c.select(b'INBOX')
    top = b.old.maildir(USER)
    r = random.Random('live')
    size = 0
    for i in range(n):
        body = mail.message('live-%d' % i, r.choice((400, 800, 1600, 3200)))
        size += len(body)
        path = '%s/cur/%d.M%06dP1.live,S=%d,W=%d:2,%s' % (top, 1600000000 + i, i % 1000000, len(body), len(body), FLAGS[i % 4])
        with open(path, 'wb') as f:
            f.write(body)
        os.chown(path, MAIL_ID, MAIL_ID)
        os.utime(path, (1600000000 + i,) * 2)
    with b.old.connect(USER, timeout=900) as c:
        assert int(c.select(b'INBOX').lines(b'EXISTS')[0][0]) == n
        c.ok(b'FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)')
        before = snapshot.mailbox(c, b'INBOX')
    return before, size


class Fetching:
    """Asks for one message after the other; when each was asked for and how long it took."""

    def __init__(self, d, top, seed):
        self.d, self.top, self.r = d, top, random.Random(seed)
        self.times, self.error, self.ended = [], None, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with self.d.connect(USER, timeout=900) as c:
                c.select(b'INBOX')
                while not self.ended.wait(0.002):
                    began = time.time()
                    c.ok(b'FETCH %d (FLAGS)' % self.r.randint(1, self.top))
                    self.times.append((began, time.time() - began))
        except Exception as e:
            self.error = e

    def stop(self):
        self.ended.set()
        self.thread.join(60)
        if self.error:
            raise self.error


def stamps(log, event):
    """(session, seconds) of the lines with all of event in them."""
    for line in log.splitlines():
        if all(x in line for x in event):
            when = re.search(r'ts=(\S+)Z', line).group(1)
            session = re.search(r' session=(\d+)', line)
            yield (session and session.group(1),
                   datetime.datetime.fromisoformat(when).replace(tzinfo=datetime.timezone.utc).timestamp())


def pauses(log):
    """Session -> seconds in which it stood still: from its command boundary until it goes on at new."""
    began = dict(stamps(log, ('event=session_state', 'to=held')))
    return {s: t - began[s] for s, t in stamps(log, ('event=session_state', 'from=carry')) if s in began}


def work(b, d, before):
    """Everybody at once until the mailbox has moved; (busy, fetching, truth)."""
    truth = Truth(before)
    idle = [d.connect(USER, timeout=900) for _ in range(IDLE)]
    for c in idle:
        c.select(b'INBOX')
        c.send(b'i IDLE\r\n')
        c.expect(rb'\+')
    fetching = [Fetching(d, len(before.messages) - 500, i) for i in range(FETCH)]
    busy = Busy(d, USER, truth, 'bench')
    try:
        while 'event=moved' not in d.logged():
            if busy.error or any(f.error for f in fetching):
                break
            time.sleep(0.5)
        time.sleep(3)
    finally:
        for x in [busy] + fetching:
            x.ended.set()
    for x in [busy] + fetching:
        try:
            x.stop()
        except Exception:
            print('\n'.join(x for x in d.logged().splitlines() if 'carry_failed' in x or 'host_lost' in x))
            raise
    for c in idle:
        c.send(b'DONE\r\n')
        c.expect(rb'i OK', 1000000)
        c.close()
    return busy, fetching, truth


def compare(b, d, truth):
    with d.connect(USER, timeout=900) as c:
        after = snapshot.mailbox(c, b'INBOX')
    truth.check(after)
    with b.new.connect(USER, timeout=900) as c:
        direct = snapshot.mailbox(c, b'INBOX')
    if [(m.digest, m.flags, m.date) for m in direct.messages.values()] != \
            [(m.digest, m.flags, m.date) for m in after.messages.values()]:
        raise SystemExit('the new host holds something else than the view')
    return len(after.messages)


def measure(b):
    n = b.options.live
    before, size = fill(b, n)
    with b.old.connect(USER, timeout=900) as c:
        began = time.monotonic()
        c.select(b'INBOX')
        direct = time.monotonic() - began
    d = b.daemon = Wherryd(b.place, b.options.bin, b.old, b.new, new_tls='implicit', level='debug', more={
        'copy': 'wait = 5s\n', 'limits': 'max_connections_per_address = 5000\n'}).start()
    with d.connect(USER, timeout=900) as c:
        began = time.monotonic()
        c.select(b'INBOX')
        first = time.monotonic() - began
    busy, fetching, truth = work(b, d, before)
    there = compare(b, d, truth)
    log = d.logged()
    still = sorted(pauses(log).values())
    moved = next(stamps(log, ('event=moved',)))[1]
    slowest = [max([took for at, took in f.times if at > moved - 10] or [0]) for f in fetching]
    carried = [x[0] for x in stamps(log, ('event=session_carried',))]
    failed = [x for x in log.splitlines() if 'event=carry_failed' in x]
    if failed:
        raise SystemExit('\n'.join(failed))
    if len(still) < IDLE + FETCH + 1 or not busy.commands:
        raise SystemExit('only %d sessions were carried over' % len(still))
    b.row('live: a mailbox of', '%d' % n, '%.0f MB; %d sessions idle, %d fetch, one does everything' % (size / 1e6, IDLE, FETCH))
    b.row('live: first SELECT', '%.2f s' % first, '%.2f s at the old host alone; aim: 5 s more at most' % direct)
    b.row('live: pause of a session at the switch, median', '%.0f ms' % (statistics.median(still) * 1000),
          '%.0f ms at most, %d sessions; aim: 500' % (still[-1] * 1000, len(still)))
    b.row('live: slowest FETCH of a client around the switch, median', '%.0f ms' % (statistics.median(slowest) * 1000),
          '%.0f ms at most, %d clients' % (max(slowest) * 1000, len(slowest)))
    b.row('live: commands of the busy client, without an error', '%d' % busy.commands, '%.2f s the slowest' % busy.slowest)
    b.row('live: messages in the end, each compared', '%d' % there, '%d sessions carried over' % len(carried))
    b.row('live: peak of resident memory', '%.1f MiB' % (d.peak_kib() / 1024), 'aim: under 64')
